"""Masks for scans that nobody has labelled: files in, files on the same grid out."""
