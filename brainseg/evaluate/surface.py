"""Distances between the borders of prediction and truth.

A border pixel belongs to the mask and has a neighbour outside it (4 neighbours in a slice, 6 in a
volume; what lies beyond the image is outside), as in MONAI, with whose scores these agree.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

PERCENTILE = 95
_ROUNDING = 1e-6  # of a distance: five planes 0.4 mm apart are 2 mm, also where 0.4 is a float32
_NAN = (float("nan"), float("nan"))

Masks = NDArray[np.bool_]
Spacing = tuple[float, float, float]  # mm between slices, rows and columns
Floats = NDArray[np.float64]


def with_gaps(
    masks: NDArray[np.bool_], numbers: Sequence[int]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Put an empty plane where slice numbers are missing, so that nothing touches across it.

    Args:
        masks: [D, H, W].
        numbers: of the slices, rising.

    Returns:
        The planes [D', H, W], D' >= D, and the number of each [D'].
    """
    known = np.asarray(numbers, np.int64)
    before_gap = np.flatnonzero(np.diff(known) > 1)
    planes = np.insert(masks, before_gap + 1, False, axis=0)
    return planes, np.insert(known, before_gap + 1, known[before_gap] + 1)


def diagonal(size: Sequence[float]) -> float:
    """The longest distance that a score can be: of an image, or of a volume in mm."""
    return float(np.linalg.norm(size))


def of_slices(preds: Masks, target: Masks, *, tolerance: float) -> Floats:
    """HD95 and surface Dice of each slice [D, 2], in pixels.

    HD95 is the larger of the two 95th percentiles of the distances from one border to the other
    (Huttenlocher et al. 1993, with percentiles); surface Dice the share of both borders that lies
    within `tolerance` of the other (Nikolov et al. 2021). A slice where prediction or truth alone
    is empty scores the image's diagonal and 0; where both are empty there is no score (NaN).

    Args:
        preds: [D, H, W].
        target: [D, H, W].
        tolerance: in pixels.
    """
    longest, unit = diagonal(preds.shape[1:]), np.ones(2)
    pairs = zip(preds, target, strict=True)
    return np.array([_scores(p, t, unit, longest, tolerance) for p, t in pairs]).reshape(-1, 2)


def of_volume(
    preds: Masks,
    target: Masks,
    numbers: Sequence[int],
    spacing: Spacing,
    *,
    tolerance: float,
) -> tuple[float, float]:
    """HD95 in mm and surface Dice of a volume; conventions as in `of_slices`.

    Args:
        preds: [D, H, W].
        target: [D, H, W].
        numbers: of the slices; where one is missing, the volume has a hole.
        spacing: in mm.
        tolerance: in mm.
    """
    (preds, planes), (target, _) = (with_gaps(mask, numbers) for mask in (preds, target))
    size = (planes[-1] - planes[0] + 1, *preds.shape[1:])
    longest = diagonal(np.multiply(size, spacing).tolist())
    return _scores(preds, target, np.asarray(spacing), longest, tolerance, planes)


def _scores(
    preds: Masks,
    target: Masks,
    spacing: Floats,
    longest: float,
    tolerance: float,
    planes: NDArray[np.int64] | None = None,
) -> tuple[float, float]:
    if not preds.any() or not target.any():
        return (longest, 0.0) if preds.any() or target.any() else _NAN
    borders = [_border(mask, planes) for mask in (preds, target)]
    corner = np.minimum(*(border.min(0) for border in borders))  # wherever the masks lie
    first, second = ((border - corner) * spacing for border in borders)
    there = KDTree(second).query(first)[0]
    back = KDTree(first).query(second)[0]
    hd95 = max(float(np.percentile(each, PERCENTILE)) for each in (there, back))
    within = tolerance * (1 + _ROUNDING)
    near = np.count_nonzero(there <= within) + np.count_nonzero(back <= within)
    return hd95, near / (len(there) + len(back))


def _border(mask: Masks, planes: NDArray[np.int64] | None) -> Floats:
    """Where the border's pixels are [n, dimensions], in pixels; in a volume by slice number."""
    where = np.argwhere(mask & ~binary_erosion(mask)).astype(np.float64)
    if planes is not None:
        where[:, 0] = planes[where[:, 0].astype(int)]
    return where
