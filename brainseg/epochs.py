"""Epochs that do not depend on how many there are, as schedules and cells both count them."""

import math


def stable_epochs(epochs: int, decay: float) -> int:
    """How many of `epochs` come before a rate that decays in a share of them, `decay`."""
    return epochs - math.ceil(round(epochs * decay, 9))
