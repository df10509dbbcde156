"""Where a patient's head is: for the z-score, and for the box that is cut out around it."""

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from brainseg.data.preprocess import Box, Pixels, whole_box

HEAD = ("otsu", "power")
_SMOOTH = 30  # a slice has as many times the side of the square that `power` averages, about
_FLOOR = 0.01  # of all voxels are darker: the level of noise, which is 0 for `power`
_POWERS = (0.3, 10.0)

Map = Callable[..., Iterable[Any]]  # as `map`


def foreground(images: Pixels, head: str = "otsu", each: Map = map) -> NDArray[np.bool_]:
    """Where the head is, `[D, H, W]`: brain, and skull where the scans keep it.

    A voxel counts when at least half of the modalities lie above their own threshold: the
    background is not black in every scan, and is above 60 in some.

    Args:
        images: One patient's `[D, H, W, C]`.
        head: `otsu`: Otsu's threshold (1979) over the patient's volume. `power`: the same of
            smoothed slices, of grey values above the darkest to the power at which the head's
            median is half of the brightest. A scan's gamma and noise change little then, and fat
            or a lesion so bright that Otsu's lies between it and the brain does no harm.
        each: What goes through the channels, such as the `map` of a pool of threads.
    """
    votes = np.zeros(images.shape[:3], np.uint8)
    above = _above_power if head == "power" else _above
    for inside in each(above, np.moveaxis(images, 3, 0)):
        votes += inside
    return np.asarray(votes >= (images.shape[3] + 1) // 2)


def _above(channel: Pixels) -> Pixels:
    channel = np.ascontiguousarray(channel)
    how = cv2.THRESH_BINARY | cv2.THRESH_OTSU
    above: Any = cv2.threshold(channel.reshape(-1, 1), 0, 1, how)[1]
    return np.asarray(above, np.uint8).reshape(channel.shape)


def _above_power(channel: Pixels) -> Pixels:
    channel = np.ascontiguousarray(channel)
    width = min(channel.shape[1:]) // (2 * _SMOOTH) * 2 + 1
    smooth = np.stack([cv2.blur(plane, (width, width)) for plane in channel])
    flat = smooth.reshape(-1, smooth.shape[2])
    parts = np.array_split(flat, 1 + flat.size // 2**24)  # float32 counts no further
    each = [cv2.calcHist([part], [0], None, [256], [0, 256]).ravel() for part in parts]
    counts = np.sum(each, axis=0, dtype=np.float64)
    floor = np.searchsorted(counts.cumsum(), _FLOOR * counts.sum())
    top = max(floor + 1, np.flatnonzero(counts)[-1])
    grey = (np.arange(256) - floor) / (top - floor)
    cut, power = -1, _POWERS[0]  # from below: else what is brightest may be all that is found
    for _ in range(12):  # it takes 3 to 6
        values = grey.clip(0, 1) ** power
        below, total = counts.cumsum(), (counts * values).cumsum()
        apart = (total[-1] * below / below[-1] - total) ** 2  # Otsu's between-class variance
        before, cut = cut, int(np.argmax(apart / np.maximum(below * (below[-1] - below), 1)))
        inside = np.where(grey > grey[cut], counts, 0).cumsum()
        if cut == before or not inside[-1]:
            break
        median = np.clip(grey[np.searchsorted(inside, inside[-1] / 2)], 0.001, 0.99)
        power = float(np.clip(np.log(0.5) / np.log(median), *_POWERS))
    above: Any = cv2.threshold(flat, cut, 1, cv2.THRESH_BINARY)[1]
    return np.asarray(above, np.uint8).reshape(channel.shape)


def statistics(images: Pixels, head: str = "otsu") -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over the foreground, for the z-score.

    A patient without foreground has 0 and 1, and a constant channel a deviation of 1.

    Args:
        images: One patient's `[D, H, W, C]`.
        head: As of `foreground`.
    """
    channels = images.shape[3]
    inside = foreground(images, head).view(np.uint8).reshape(-1, 1)
    if not inside.any():
        return [0.0] * channels, [1.0] * channels
    mean, deviation = cv2.meanStdDev(images.reshape(-1, 1, channels), mask=inside)
    return mean.ravel().tolist(), np.where(deviation > 0, deviation, 1.0).ravel().tolist()


def brain_box(inside: NDArray[np.bool_], margin: float = 0.03) -> Box:
    """A square around the brain in all slices, skull included, never larger than `whole_box`.

    What is thinner than a sixth of the image, such as nose and ears, may stay outside.

    Args:
        inside: One patient's `foreground`, `[D, H, W]`.
        margin: Free space on each side, as a share of the longer side.
    """
    height, width = inside.shape[1:]
    shadow: Any = inside.any(axis=0).astype(np.uint8)  # [H, W]
    thin = max(min(height, width) // 6, 1)
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thin, thin))
    clean: Any = cv2.morphologyEx(shadow, cv2.MORPH_OPEN, ball)
    count, _, parts, _ = cv2.connectedComponentsWithStats(clean)
    if count < 2:
        return whole_box(height, width)
    left, top, w, h = (int(v) for v in parts[1 + parts[1:, cv2.CC_STAT_AREA].argmax()][:4])
    side = min(round(max(h, w) * (1 + 2 * margin)), max(height, width))
    return Box(_start(top + h / 2, side, height), _start(left + w / 2, side, width), side)


def _start(centre: float, side: int, length: int) -> int:
    """Where `side` pixels around `centre` start, inside 0 to `length` if they fit."""
    if side > length:
        return (length - side) // 2
    return min(max(round(centre - side / 2), 0), length - side)
