"""Pictures of scans and masks, from arrays."""
