"""`python -m brainseg.evaluate RUN`: how good a trained run is, with intervals and pictures."""
