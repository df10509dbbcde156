"""Overlap of prediction and truth, from pixel counts, at every level that studies report.

Counts are int64 [..., 4] = (tp, predicted, target, pixels), as in `brainseg.metrics`, whose
conventions hold: 1 where prediction and truth are both empty, else 0 for a 0/0.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brainseg.evaluate.interval import Estimand, Floats, mean, ratio
from brainseg.metrics import SCORES, count, iou

Counts = NDArray[np.int64]
NAMES = ("dice", "iou", "mean_iou", "precision", "recall", "accuracy")
LEVELS = {
    "patient": "**by patient**, the whole volume",
    "patient_having": "by patient who has the region",
    "tumour_slice": "by slice with tumour",
    "slice_empty_1": "by slice; truth and prediction empty: 1",
    "slice_empty_0": "by slice; truth and prediction empty: 0",
    "slice_left_out": "by slice; truth and prediction empty: left out",
    "global": "global, all pixels as one image",
}
_SILENT_AS_0 = {"dice": 0.0, "iou": 0.0, "mean_iou": 0.5, "precision": 0.0, "recall": 0.0}


def count_slices(preds: NDArray[np.bool_], target: NDArray[np.bool_]) -> Counts:
    """The counts of each slice [D, 4], of masks [D, H, W]."""
    pair = (torch.from_numpy(mask).unsqueeze(1) for mask in (preds, target))
    counts: Counts = count(*pair)[:, 0].numpy()
    return counts


def scores(counts: Counts) -> dict[str, Floats]:
    """Dice, IoU, mean IoU with background, precision, recall and accuracy [...] of counts."""
    tensor = torch.from_numpy(counts.copy())
    found = {name: score(tensor) for name, score in SCORES.items()}
    found["mean_iou"] = (iou(tensor) + iou(_background(tensor))) / 2
    return {name: found[name].double().numpy() for name in NAMES}


def nothing(counts: Counts) -> Counts:
    """What the counts are where nothing is predicted."""
    empty: Counts = counts * np.array([0, 0, 1, 1])
    return empty


def total(counts: Counts, patient: NDArray[np.int64]) -> Counts:
    """The counts of each patient [n, 4], from those of slices [N, 4] and their patients [N]."""
    summed = np.zeros((int(patient.max(initial=-1)) + 1, 4), np.int64)
    np.add.at(summed, patient, counts)
    return summed


def by_level(counts: Counts, patient: NDArray[np.int64]) -> dict[str, dict[str, Estimand]]:
    """Every score at every level of `LEVELS`; `patient_having` where a patient has none of it.

    Args:
        counts: of each slice [N, 4].
        patient: of each slice [N], counted from 0.
    """
    volumes = total(counts, patient)
    by_slice, target = scores(counts), counts[:, 2] > 0
    silent = (counts[:, 1] == 0) & ~target  # nothing found on an empty slice
    everywhere = np.ones_like(silent)
    as_0 = {n: np.where(silent, _SILENT_AS_0.get(n, v), v) for n, v in by_slice.items()}
    by_patient, having = scores(volumes), volumes[:, 2] > 0
    levels = {"patient": {name: mean(values) for name, values in by_patient.items()}}
    if not having.all():
        levels["patient_having"] = {n: mean(values[having]) for n, values in by_patient.items()}
    return levels | {
        "tumour_slice": _over_slices(by_slice, patient, target),
        "slice_empty_1": _over_slices(by_slice, patient, everywhere),
        "slice_empty_0": _over_slices(as_0, patient, everywhere),
        "slice_left_out": _over_slices(by_slice, patient, ~silent),
        "global": {name: _pooled(volumes, name) for name in NAMES},
    }


def _over_slices(
    values: dict[str, Floats], patient: NDArray[np.int64], kept: NDArray[np.bool_]
) -> dict[str, Estimand]:
    """The mean over the kept slices; its resamples are of patients."""
    sizes = _sums(patient, kept.astype(np.float64))
    return {name: ratio(_sums(patient, kept * each), sizes) for name, each in values.items()}


def _sums(patient: NDArray[np.int64], values: Floats) -> Floats:
    return np.bincount(patient, values).astype(np.float64)


def _pooled(volumes: Counts, name: str) -> Estimand:
    return Estimand(lambda index: scores(volumes[index].sum(-2))[name], len(volumes))


def _background(counts: Tensor) -> Tensor:
    """The counts of what is not tumour."""
    tp, predicted, target, pixels = counts.unbind(-1)
    parts = (pixels - predicted - target + tp, pixels - predicted, pixels - target, pixels)
    return torch.stack(parts, dim=-1)
