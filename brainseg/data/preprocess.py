"""What is done to the pixels before they are cached, and how it is undone.

A patient's scans are cut to one square box, in pixels of the original, and resized to the
network's size. The box may reach outside the image, where it holds zeros.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
DENOISE = ("none", "median", "nlm")


class Box(NamedTuple):
    """A square: its upper left corner (which may be negative) and its side, in pixels."""

    top: int
    left: int
    side: int


@dataclass(frozen=True)
class Geometry:
    """What the prepared slices of one patient came from.

    Attributes:
        shape: height and width of the originals.
        box: the square that was cut out of them.
        mean: of each of the volume's channels over the head, in the fitted slices.
        deviation: the standard deviation, likewise.
    """

    shape: tuple[int, int]
    box: Box
    mean: Floats
    deviation: Floats


def denoise(image: Pixels, method: str) -> Pixels:
    """A slice with less noise, each channel for itself.

    Args:
        image: `[H, W, C]`.
        method: `none`; `median` over 3 x 3 pixels; `nlm`, non-local means (Buades et al. 2005)
            with patches of 5 pixels in a window of 11, at a strength of 5 grey values.
    """
    if method == "none":
        return image
    channels = [np.ascontiguousarray(image[..., c]) for c in range(image.shape[2])]
    if method == "median":
        clean = [cv2.medianBlur(channel, 3) for channel in channels]
    else:
        clean = [cv2.fastNlMeansDenoising(channel, None, 5, 5, 11) for channel in channels]
    return np.stack(clean, axis=-1).astype(np.uint8, copy=False)


def whole_box(height: int, width: int) -> Box:
    """The smallest centred square that holds the image."""
    side = max(height, width)
    return Box((height - side) // 2, (width - side) // 2, side)


def fit_image(image: Pixels, box: Box, size: int) -> Pixels:
    """The box of `[H, W, C]` as `[size, size, C]`: area mean when it shrinks, else bilinear."""
    fitted = _resize(_cut(image, box), size)
    return fitted.reshape(size, size, image.shape[2]).astype(np.uint8, copy=False)


def fit_mask(mask: Pixels, box: Box, size: int) -> Pixels:
    """The box of `[H, W]` of 0 and 1 as `[size, size]`: 1 where at least half the area is."""
    cut = _cut(mask, box)
    if box.side == size:
        return cut
    return (_resize(cut.astype(np.float32), size) >= 0.5).astype(np.uint8)


def undo(probs: NDArray[np.float32], box: Box, shape: tuple[int, int]) -> NDArray[np.float32]:
    """`[D, size, size]` put back where it came from in `[D, H, W]`; 0 outside the box."""
    target, source = _overlap(box, shape)
    if len(probs) == 1 and (inside := _resize(probs[0], box.side)[source]).shape == shape:
        return inside[None]  # no copy
    whole = np.zeros((len(probs), *shape), np.float32)
    for plane, prob in zip(whole, probs, strict=True):
        plane[target] = _resize(prob, box.side)[source]
    return whole


def _cut(array: Pixels, box: Box) -> Pixels:
    target, source = _overlap(box, (array.shape[0], array.shape[1]))
    if array[target].shape[:2] == (box.side, box.side):  # all of it: no copy
        return array[target]
    cut = np.zeros((box.side, box.side, *array.shape[2:]), array.dtype)
    cut[source] = array[target]
    return cut


def _overlap(box: Box, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where box and image meet, in the image and in the box."""
    starts = (max(box.top, 0), max(box.left, 0))
    stops = (min(box.top + box.side, shape[0]), min(box.left + box.side, shape[1]))
    image = (slice(starts[0], stops[0]), slice(starts[1], stops[1]))
    inside = (
        slice(starts[0] - box.top, stops[0] - box.top),
        slice(starts[1] - box.left, stops[1] - box.left),
    )
    return image, inside


def _resize(array: NDArray[Any], size: int) -> NDArray[Any]:
    if array.shape[0] == size:
        return array
    how = cv2.INTER_AREA if size < array.shape[0] else cv2.INTER_LINEAR
    resized: NDArray[Any] = cv2.resize(array, (size, size), interpolation=how)
    return resized
