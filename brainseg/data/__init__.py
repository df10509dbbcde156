"""Scans: reading, checking, caching, splitting, augmenting."""
