"""Segmentation scores from pixel counts, and their mean over patients.

A score takes counts int64 [..., 4] = (tp, pred, target, pixels) and returns float32 [...] in
[0, 1]: true positives, predicted tumour, true tumour, and all pixels. Counts add up over slices,
so a patient's score is that of the whole volume. Conventions: where prediction and mask are both
empty every score is 1; where one alone is empty, Dice, IoU, precision and recall are 0 (a 0/0 of
precision or recall among them).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric


def count(preds: Tensor, mask: Tensor) -> Tensor:
    """Count the pixels of each sample and region: int64 [B, K, 4] = (tp, pred, target, pixels).

    Args:
        preds: bool [B, K, H, W], as of `logits > 0`.
        mask: [B, K, H, W], bool or a number; whatever is not 0 is tumour.

    Raises:
        ValueError: `preds` is not bool (a probability is no decision), or the shapes differ.
    """
    if preds.dtype != torch.bool:
        raise ValueError(f"preds of {preds.dtype}; must be bool; give `logits > 0`")
    if preds.shape != mask.shape:
        raise ValueError(
            f"mask of shape {tuple(mask.shape)}; must be the preds' {tuple(preds.shape)}; "
            "give masks as [B, K, H, W]"
        )
    target = mask.bool()
    parts = (preds & target, preds, target, torch.ones_like(target))
    return torch.stack([part.sum((2, 3)) for part in parts], dim=-1)


def count_packed(
    preds: NDArray[np.uint8], masks: NDArray[np.uint8], pixels: int | NDArray[np.int64]
) -> Tensor:
    """Count the pixels of each slice and region: int64 [B, K, 4] = (tp, pred, target, pixels).

    Args:
        preds: one bit a pixel, `numpy.packbits`, [B, K, ceil(pixels / 8)].
        masks: likewise.
        pixels: of a slice, or of each [B]; bits behind them are 0.
    """
    parts = [
        np.bitwise_count(bits).sum(-1, dtype=np.int64) for bits in (preds & masks, preds, masks)
    ]
    sizes = np.broadcast_to(np.int64(pixels), len(preds))[:, None]
    counts = np.stack([*parts, np.broadcast_to(sizes, preds.shape[:2])], axis=-1)
    return torch.from_numpy(counts)


def dice(counts: Tensor) -> Tensor:
    """Dice coefficient (F1), 2 tp / (pred + target); 1 where both are empty."""
    tp, pred, target, _ = counts.unbind(-1)
    return _ratio(2 * tp, pred + target, counts)


def iou(counts: Tensor) -> Tensor:
    """Intersection over union (Jaccard), tp / (pred + target - tp); 1 where both are empty."""
    tp, pred, target, _ = counts.unbind(-1)
    return _ratio(tp, pred + target - tp, counts)


def precision(counts: Tensor) -> Tensor:
    """Precision, tp / pred; with nothing predicted 1 if there is no tumour, else 0."""
    tp, pred, _, _ = counts.unbind(-1)
    return _ratio(tp, pred, counts)


def recall(counts: Tensor) -> Tensor:
    """Recall (sensitivity), tp / target; with no tumour 1 if nothing is predicted, else 0."""
    tp, _, target, _ = counts.unbind(-1)
    return _ratio(tp, target, counts)


def accuracy(counts: Tensor) -> Tensor:
    """Share of pixels that are right; quote it beside that of predicting nothing (98.97 % on LGG).

    (pixels - pred - target + 2 tp) / pixels.
    """
    tp, pred, target, pixels = counts.unbind(-1)
    return _ratio(pixels - pred - target + 2 * tp, pixels, counts)


SCORES = {"dice": dice, "iou": iou, "precision": precision, "recall": recall, "accuracy": accuracy}


def patient_means(counts: Tensor) -> dict[str, Tensor]:
    """Each of `SCORES`: mean over regions of the mean over the patients seen; NaN if none was.

    Args:
        counts: int64 [patients, K, 4]; all 0 for a patient not seen.
    """
    return {name: region_means(counts, name).mean() for name in SCORES}


def region_means(counts: Tensor, name: str) -> Tensor:
    """One of `SCORES` by region [K]: mean over the patients seen; NaN if none was."""
    seen = counts[..., 3] > 0  # [patients, K]
    return (SCORES[name](counts) * seen).sum(0) / seen.sum(0)


class PatientScores(Metric):
    """Mean over patients of the scores of each patient's whole volume.

    Exact for any batch size, order and number of devices: what is kept are integer counts, and
    neither update nor compute waits for the device.

    Args:
        patients: number of patients; `patient` in update is 0 to `patients` - 1.
        regions: number of regions K.

    Attributes:
        counts: int64 [patients, K, 4] = (tp, pred, target, pixels); all 0 for a patient not seen.

    Example:
        >>> scores = PatientScores(patients=2)
        >>> preds = torch.tensor([[[[True, True]]], [[[False, False]]]])
        >>> mask = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 0.0]]]])
        >>> scores.update(preds, mask, torch.tensor([0, 0]))
        >>> round(scores.compute()["dice"].item(), 3)  # one patient of two slices, 2 * 1 / 3
        0.667
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, patients: int, regions: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        zeros = torch.zeros(patients, regions, 4, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, preds: Tensor, mask: Tensor, patient: Tensor) -> None:
        """Add the slices of a batch.

        Args:
            preds: bool [B, K, H, W], as of `logits > 0`.
            mask: [B, K, H, W], bool or a number; whatever is not 0 is tumour.
            patient: int64 [B], the patient of each slice.

        Raises:
            ValueError: `preds` is not bool, or the shapes differ.
        """
        self.counts.index_add_(0, patient, count(preds, mask))

    def compute(self) -> dict[str, Tensor]:
        """Return `patient_means` of what was seen so far."""
        return patient_means(self.counts)

    def by_region(self, name: str) -> Tensor:
        """Return `region_means` of what was seen so far, [K]."""
        return region_means(self.counts, name)


def _ratio(part: Tensor, whole: Tensor, counts: Tensor) -> Tensor:
    """Return part / whole; where whole is 0, 1 if prediction and mask are both empty, else 0."""
    both_empty = counts[..., 1] + counts[..., 2] == 0
    return torch.where(whole > 0, part / whole.clamp(min=1), both_empty.float())
