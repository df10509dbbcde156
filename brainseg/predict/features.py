"""What a scan looks like to the network, and where that is unlike the scans it was trained on."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from brainseg.data.head import brain_box, foreground
from brainseg.predict.scan import FLAIR, Pixels, Scan

FEW = 5  # slices: fewer do not show a head
COARSE = 120  # pixels of a side, at least, that are looked at
HEAD_MM = (120, 320)  # a side of the square around a head
_SAID = {
    "head": "the head fills {0:.2f} of the image, in training {1:.2f} to {2:.2f}: another field of "
    "view",
    "dark": "{0:.2f} of the head is dark, in training {1:.2f} to {2:.2f}: is the skull there, as "
    "in training?",
    "low": "the darkest hundredth of the head lies {0:.1f} SD from its mean in FLAIR, in training "
    "{1:.1f} to {2:.1f}: other intensities",
    "high": "the brightest hundredth of the head lies {0:.1f} SD from its mean in FLAIR, in "
    "training {1:.1f} to {2:.1f}: other intensities",
}


def features(scan: Scan) -> dict[str, float]:
    """Numbers that tell another kind of scan; none of a scan of less than `FEW` slices.

    Returns:
        head: side of the square around it, as a share of the image's longer side. dark: the share
        of it that is not above the background's threshold, over the half of the slices that show
        most of it; a skull is dark, and without one there is little that is. low, high: 1st and
        99th percentile of FLAIR over the head, in SD from its mean.
    """
    step = max(1, max(scan.first.shape[1:]) // COARSE)
    coarse = {name: pixels[:, ::step, ::step] for name, pixels in scan.sequences.items()}
    flair = coarse[scan.main]
    if len(flair) < FEW:
        return {}
    volume = np.stack(list(coarse.values()), axis=-1)
    inside = foreground(volume)
    if not inside.any():
        return {}
    largest = np.argsort(-inside.sum((1, 2)))[: len(inside) // 2]
    counts = np.bincount(flair[inside], minlength=256)  # faster than sorting
    grey, shares = np.arange(256), counts / counts.sum()
    mean = shares @ grey
    deviation = max(float(np.sqrt(shares @ (grey - mean) ** 2)), 1e-6)
    low, high = (np.searchsorted(shares.cumsum(), [0.01, 0.99]) - mean) / deviation
    return {
        "head": brain_box(inside).side / max(flair.shape[1:]),
        "dark": float(np.mean([_dark(inside[k].astype(np.uint8)) for k in largest])),
        "low": float(low),
        "high": float(high),
    }


def _dark(inside: Pixels) -> float:
    """The share of the convex hull of a slice's largest part that is not inside."""
    parts, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not parts:
        return 0.0
    hull = cv2.convexHull(max(parts, key=cv2.contourArea))
    whole: Any = cv2.fillConvexPoly(np.zeros_like(inside), hull, 1)
    return 1 - float((whole & inside).sum() / whole.sum())


def unlike(scan: Scan, known: Mapping[str, Sequence[float]]) -> list[str]:
    """A line for everything in which a scan is unlike those of the training.

    Args:
        scan: the case.
        known: of each feature the least and the most in training; may be empty.
    """
    lines, found = [], features(scan)
    for name, value in found.items():
        if name in known:
            low, high = known[name]
            if not low <= value <= high:
                lines.append(_SAID[name].format(value, low, high))
    if scan.main == FLAIR and scan.spacing and "head" in found:  # another organ is no head
        side = found["head"] * max(scan.first.shape[1:]) * max(scan.spacing[1:])
        if not HEAD_MM[0] <= side <= HEAD_MM[1]:
            lines.append(f"its voxels make a head of {side:.0f} mm: are they right?")
    return lines
