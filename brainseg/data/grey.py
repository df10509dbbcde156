"""Intensities of any range as the bytes that networks are trained on."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

TOP = 99.9  # percentile that becomes white
TINY = 1e-30  # least range of values, and one over the largest, that float32 can scale
ENOUGH = 2**20  # voxels, evenly over the volume, that it is taken from

Pixels = NDArray[np.uint8]


class Grey(NamedTuple):
    """Bytes of one sequence.

    Attributes:
        bytes: uint8 [D, H, W], unchanged where they were bytes already.
        low: the value that became 0.
        high: the value that became 255.
        note: what was done in words, or nothing.
    """

    bytes: Pixels
    low: float = 0
    high: float = 255
    note: str = ""


def to_bytes(
    values: NDArray[np.generic], what: str, window: tuple[float, float] | None = None
) -> Grey:
    """One sequence as uint8, from its least value to its 99.9th percentile, or within a window.

    The z-score that follows takes out where the range lies; what is lost is finer than a 255th of
    it, and how bright the brightest thousandth is.

    Args:
        values: all slices [D, H, W], whatever type.
        what: its name, for messages.
        window: the values that become 0 and 255, as of a CT; None finds them.

    Raises:
        ValueError: values are no real numbers, not finite, or all the same.
    """
    if values.dtype.kind not in "buif" or not values.size:
        raise ValueError(f"{what} has {values.size} values of {values.dtype}; give real numbers")
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        wrong = int(values.size - np.isfinite(values).sum())
        raise ValueError(f"{what} has {wrong} values that are not finite; replace them by numbers")
    ends = values.min(), values.max()
    least, top = map(float, ends)
    if least == top:
        raise ValueError(f"{what} has one grey value, {top:g}, throughout; give another scan")
    if ((values == ends[0]) | (values == ends[1])).all():
        raise ValueError(f"{what} has two grey values alone, as a mask has; give a scan")
    if values.dtype == np.uint8 and window is None:
        return Grey(np.asarray(values, np.uint8))
    low, high = window or (least, top)
    if window is None:
        flat: NDArray[Any] = values.ravel(order="K")  # as it lies in memory
        high = float(np.percentile(flat[:: max(1, flat.size // ENOUGH)], TOP))
        high = high if high > least else top
    if not TINY < high - low < 1 / TINY:
        raise ValueError(f"{what} has values from {low:g} to {top:g}; give it in other units")
    clipped = f", what is above (up to {top:g}) 255" if high < top else ""
    note = f"{what}: {low:g} to {high:g} became 0 to 255{clipped}"
    if values.dtype.kind not in "iu" or values.itemsize != 2:
        return Grey(_scaled(values, low, high), low, high, note)
    return Grey(_of_16_bits(values, low, high, ends), low, high, note)


def _of_16_bits(values: NDArray[Any], low: float, high: float, ends: tuple[Any, Any]) -> Pixels:
    """`_scaled` of integers between `ends`, by what is faster: OpenCV if it rounds alike there."""
    every = np.arange(2**16, dtype=np.uint16).view(values.dtype.newbyteorder("="))
    table = _scaled(every, low, high)  # a negative value counts from its end
    there = np.arange(int(ends[0]), int(ends[1]) + 1).astype(every.dtype)
    if not np.array_equal(_by_opencv(there, low, high), table[there]):
        looked_up: Pixels = table[values]
        return looked_up
    order: Any = "F" if values.flags.f_contiguous else "C"
    flat = values.ravel(order).astype(every.dtype, copy=False)
    return _by_opencv(flat, low, high).reshape(values.shape, order=order)


def _by_opencv(flat: NDArray[Any], low: float, high: float) -> Pixels:
    share = 255 / (high - low)
    found: Any = cv2.convertScaleAbs(flat, alpha=share, beta=-low * share)
    return np.asarray(found, np.uint8).ravel()


def _scaled(values: NDArray[Any], low: float, high: float) -> Pixels:
    # in what holds every value, and in place: a volume is large
    wide = values.dtype.itemsize > (2 if values.dtype.kind in "iu" else 4)
    number = np.float64 if wide else np.float32
    scaled: NDArray[np.floating[Any]] = values.astype(number)
    np.clip(scaled, low, high, out=scaled)
    scaled -= number(low)
    scaled *= number(255 / (high - low))
    np.rint(scaled, out=scaled)
    return scaled.astype(np.uint8)
