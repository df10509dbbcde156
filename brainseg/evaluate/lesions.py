"""Lesions: connected components of the volume, and which of them were found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from brainseg.evaluate.surface import with_gaps

_NEIGHBOURS = generate_binary_structure(3, 3)  # 26: a face, an edge or a corner in common


@dataclass(frozen=True)
class Lesions:
    """Lesions of one patient.

    Attributes:
        true: components of the truth.
        found: those of them that share a voxel with the prediction.
        predicted: components of the prediction.
        false: those of them that share none with the truth.
    """

    true: int
    found: int
    predicted: int
    false: int


def lesions(preds: NDArray[np.bool_], target: NDArray[np.bool_], numbers: Sequence[int]) -> Lesions:
    """Count the lesions of a patient: 26-connected, of any size.

    Args:
        preds: [D, H, W].
        target: [D, H, W].
        numbers: of the slices; nothing is connected across a missing one.
    """
    (preds, _), (target, _) = (with_gaps(mask, numbers) for mask in (preds, target))
    true, n_true = label(target, _NEIGHBOURS)
    predicted, n_predicted = label(preds, _NEIGHBOURS)
    touched = len(np.unique(predicted[target & (predicted > 0)]))
    return Lesions(
        true=int(n_true),
        found=len(np.unique(true[preds & (true > 0)])),
        predicted=int(n_predicted),
        false=int(n_predicted) - touched,
    )
