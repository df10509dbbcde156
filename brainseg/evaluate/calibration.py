"""Whether a probability of 0.7 means 7 in 10, and what another threshold than 0.5 would give.

Everything is read from histograms of the probabilities of each patient's pixels, so that memory
does not grow with the pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from brainseg.evaluate.average_precision import ranked
from brainseg.evaluate.interval import Estimand, Floats, ratio
from brainseg.metrics import dice

BINS = 20  # of reliability and calibration error, 0.05 each
CANDIDATES: Floats = np.arange(1, 200) / 200  # of the best threshold
# Even in the logit, since networks put most probabilities into a hundredth at either end
_LOGITS: Floats = np.arange(-1024, 1025) / 64
THRESHOLDS: Floats = np.unique(np.concatenate([expit(_LOGITS), CANDIDATES]))  # rising
HALF = int(np.searchsorted(THRESHOLDS, 0.5))  # where 0.5 is among them
FINE = len(THRESHOLDS) + 1  # bins of the histogram: between the thresholds, and beyond them
_COARSE = np.searchsorted(THRESHOLDS, np.arange(1, BINS) / BINS - 1e-9) + 1


@dataclass(frozen=True, eq=False)
class Histogram:
    """Probabilities of the pixels of some patients, in bins between `THRESHOLDS`.

    A bin holds what is above its lower threshold and not above its upper one.

    Attributes:
        pixels: int64 [n, FINE].
        tumour: those of them that are tumour, int64 [n, FINE].
        probs: the sum of their probabilities, float64 [n, FINE].
        squares: the sum over all pixels of (probability - truth) squared, float64 [n].
        ranks: of each patient what `average_precision.ranked` gives.
    """

    pixels: NDArray[np.int64]
    tumour: NDArray[np.int64]
    probs: Floats
    squares: Floats
    ranks: list[NDArray[np.int32]]

    def __len__(self) -> int:
        return len(self.pixels)


def histogram(probs: NDArray[np.float32], target: NDArray[np.bool_]) -> Histogram:
    """The histogram of one patient, from [D, H, W] and [D, H, W]."""
    pixels, tumour = np.zeros((2, 1, FINE), np.int64)
    sums, squares = np.zeros((1, FINE)), np.zeros(1)
    for prob, truth in zip(probs, target, strict=True):  # a slice at a time: they become float64
        p, t = prob.ravel().astype(np.float64), truth.ravel()
        index = np.searchsorted(THRESHOLDS, p)
        pixels[0] += np.bincount(index, minlength=FINE)
        tumour[0] += np.bincount(index[t], minlength=FINE)
        sums[0] += np.bincount(index, p, minlength=FINE)
        squares += ((p - t) ** 2).sum()
    return Histogram(pixels, tumour, sums, squares, [ranked(probs, target)])


def together(each: list[Histogram]) -> Histogram:
    """One histogram of all their patients, in their order."""
    return Histogram(
        np.concatenate([h.pixels for h in each]),
        np.concatenate([h.tumour for h in each]),
        np.concatenate([h.probs for h in each]),
        np.concatenate([h.squares for h in each]),
        [ranks for h in each for ranks in h.ranks],
    )


def reliability(histogram: Histogram) -> tuple[Floats, Floats, Floats]:
    """Mean probability, share of tumour (NaN in an empty bin) and pixels, of each of `BINS`."""
    pixels, tumour, probs = (part.sum(0) for part in _coarse(histogram))
    with np.errstate(invalid="ignore"):
        return probs / pixels, tumour / pixels, pixels


def calibration_error(histogram: Histogram) -> Estimand:
    """Expected calibration error over all pixels (Guo et al. 2017, eq. 3), `BINS` equal bins."""
    pixels, tumour, probs = _coarse(histogram)
    gaps, sizes = probs - tumour, pixels.sum(-1)
    return Estimand(
        lambda index: np.abs(gaps[index].sum(-2)).sum(-1) / sizes[index].sum(-1), len(histogram)
    )


def brier(histogram: Histogram) -> Estimand:
    """Brier score: the mean over all pixels of (probability - truth) squared (Brier 1950)."""
    return ratio(histogram.squares, histogram.pixels.sum(-1).astype(np.float64))


def prevalence(histogram: Histogram) -> float:
    """The share of tumour pixels: the error and the Brier score of predicting nothing."""
    return float(histogram.tumour.sum() / histogram.pixels.sum())


def precision_recall(histogram: Histogram) -> tuple[Floats, Floats]:
    """Precision and recall of all pixels together, at each of `THRESHOLDS`.

    Precision is NaN where nothing is above the threshold.
    """
    tp, predicted = _above(histogram.tumour.sum(0)), _above(histogram.pixels.sum(0))
    with np.errstate(invalid="ignore"):
        return tp / predicted, tp / histogram.tumour.sum()


def dice_by_threshold(histogram: Histogram) -> Floats:
    """Dice of each patient at each of `THRESHOLDS` [n, FINE - 1]; a pixel above it is tumour."""
    tp, predicted = _above(histogram.tumour), _above(histogram.pixels)
    target = np.broadcast_to(histogram.tumour.sum(-1, keepdims=True), tp.shape)
    pixels = np.broadcast_to(histogram.pixels.sum(-1, keepdims=True), tp.shape)
    counts = torch.from_numpy(np.stack([tp, predicted, target, pixels], axis=-1))
    return np.asarray(dice(counts).double().numpy())


def best_threshold(histogram: Histogram) -> int:
    """Which of `THRESHOLDS` is the candidate with the highest mean Dice over patients.

    Of several, the nearest to 0.5.
    """
    means = dice_by_threshold(histogram).mean(0)
    among = np.searchsorted(THRESHOLDS, CANDIDATES)
    best = among[means[among] >= means[among].max() - 1e-9]
    return int(best[np.abs(best - HALF).argmin()])


def temperature(histogram: Histogram) -> float:
    """What logits are divided by for the least log loss over all pixels (Guo et al. 2017, 4.2)."""
    edges = np.log(THRESHOLDS) - np.log1p(-THRESHOLDS)
    logits = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    pixels, tumour = histogram.pixels.sum(0), histogram.tumour.sum(0)

    def log_loss(degree: float) -> float:
        z = logits / degree
        return float(tumour @ np.logaddexp(0, -z) + (pixels - tumour) @ np.logaddexp(0, z))

    return float(minimize_scalar(log_loss, bounds=(0.1, 10), method="bounded").x)


def _above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many lie above each threshold [..., FINE - 1]."""
    return np.ascontiguousarray(counts[..., ::-1].cumsum(-1)[..., ::-1][..., 1:])


def _coarse(histogram: Histogram) -> tuple[Floats, Floats, Floats]:
    """Pixels, tumour and probabilities by patient and by the coarser bins [n, BINS]."""
    parts = (histogram.pixels, histogram.tumour, histogram.probs)
    pixels, tumour, probs = (
        np.add.reduceat(part, [0, *_COARSE], axis=-1).astype(np.float64) for part in parts
    )
    return pixels, tumour, probs
