"""Trained runs as weights to give away: tensors and a card, and no code in either."""
