"""A report over sweeps, read from the files of their cells: `python -m brainseg.report SWEEP`."""
