"""Average precision: exact, without the pixels of all patients in memory at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brainseg.evaluate.interval import Estimand, Floats

_DISTINCT = 2**17  # probabilities of a patient that are told apart for average precision
_DRAWN = 4096  # bins of average precision in a resample, with as many tumour pixels in each

Ranks = NDArray[np.int32]


def average_precision(ranks: Sequence[Ranks]) -> Estimand:
    """Sum over falling thresholds of precision times the recall gained, all pixels together.

    NaN where no pixel is tumour. The probability of every tumour pixel is a threshold; in resamples
    at most `_DRAWN` of them are, which makes a sample too low by about 1 / `_DRAWN`.

    Args:
        ranks: of each patient, what `ranked` gives.
    """
    marked = [numbers[tumour > 0] for numbers, _, tumour in ranks]
    thresholds = np.unique(np.concatenate(marked))
    exact = float(_area(*_binned(ranks, thresholds).sum(1))) if len(thresholds) else np.nan
    some = np.linspace(0, len(thresholds) - 1, min(len(thresholds), _DRAWN)).astype(int)
    parts = _binned(ranks, thresholds[some])  # [2, n, some]

    def statistic(index: NDArray[np.int64]) -> Floats:
        return _area(*(_times_drawn(index, len(ranks)) @ part for part in parts))

    return Estimand(statistic, len(ranks), exact)


def _binned(ranks: Sequence[Ranks], thresholds: NDArray[np.int32]) -> Floats:
    """Tumour pixels, and all, from each threshold up to the next one: [2, n, thresholds]."""
    parts = []
    for numbers, pixels, tumour in ranks:
        where = np.searchsorted(thresholds, numbers, side="right")  # 0: below all of them
        binned = (np.bincount(where, each, len(thresholds) + 1)[1:] for each in (tumour, pixels))
        parts.append(np.stack(list(binned)))
    return np.stack(parts, axis=1)


def _area(tumour: Floats, pixels: Floats) -> Floats:
    """Average precision of bins [..., thresholds] between rising thresholds."""
    tp, predicted = (part[..., ::-1].cumsum(-1) for part in (tumour, pixels))
    with np.errstate(invalid="ignore"):
        gained = np.diff(tp, axis=-1, prepend=0) / tp[..., -1:]
    return np.asarray((tp / np.maximum(predicted, 1) * gained).sum(-1))


def ranked(probs: NDArray[np.float32], target: NDArray[np.bool_]) -> Ranks:
    """Distinct probabilities as whole numbers, rising; pixels and tumour pixels of each: [3, n].

    A number is made of the bits of p, or of 1 - p where that is smaller, so that it is as fine near
    1 as near 0. Where more than `_DISTINCT` differ, all lose their last bits.
    """
    bits = np.minimum(probs, 1 - probs, dtype=np.float32).view(np.uint32)
    half = np.float32(0.5).view(np.uint32)
    numbers = np.where(probs < 0.5, bits, 2 * half - bits)
    sorted_, dropped = np.sort((numbers << 1 | target).ravel()), 0  # the last bit is the truth
    while True:
        numbers = sorted_ >> 1 >> dropped
        starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] + 1))
        if len(starts) <= _DISTINCT:
            break
        dropped += 1
    pixels = np.diff(starts, append=len(sorted_))
    tumour = np.add.reduceat(sorted_ & 1, starts)
    return np.stack([numbers[starts] << dropped, pixels, tumour]).astype(np.int32)


def _times_drawn(index: NDArray[np.int64], patients: int) -> Floats:
    """How often samples [..., n] hold each patient [..., patients]: sums without a copy of each."""
    held = [np.count_nonzero(index == patient, axis=-1) for patient in range(patients)]
    return np.stack(held, axis=-1).astype(np.float64)
