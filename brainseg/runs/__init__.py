"""What one run folder is: its cell, identity, checkpoints and provenance."""
