"""Where the slices of a volume lie: numbers may be missing, spacing may be known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Spacing = tuple[float, float, float]  # mm between slices, rows and columns


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
