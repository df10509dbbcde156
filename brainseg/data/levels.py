"""Gain, offset and lost sequences of a slice, drawn for each of its channels.

They act on the scaled image, without touching its bytes: a scaled channel is (x - mean) /
deviation, so another mean and deviation are another gain and offset.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Levels:
    """What is drawn.

    Attributes:
        gain: largest change of a channel's contrast; times a number from [1 - gain, 1 + gain].
        offset: largest shift of its brightness, in units of the scaled image (SD, for zscore).
        sequence_dropout: probability that a sequence is lost. The stand-in of the data set (LGG:
            FLAIR, which stands in its gaps too) takes its place and is never lost itself; without a
            stand-in the channel is 0, and one channel always stays.
    """

    gain: float = 0.0
    offset: float = 0.0
    sequence_dropout: float = 0.0

    def __call__(
        self,
        channels: Pixels,
        mean: Floats,
        deviation: Floats,
        *,
        stand_in: int | None,
        key: tuple[int, ...],
    ) -> tuple[Pixels, Floats, Floats]:
        """One slice with other levels.

        Args:
            channels: the network's, [C, H, W].
            mean: to be subtracted, [C].
            deviation: then to be divided by, [C].
            stand_in: the channel that takes a lost one's place; None for zeros.
            key: non-negative integers, here (seed, epoch, row), on which alone the draws depend.

        Returns:
            New channels, mean and deviation.
        """
        C = len(channels)
        generator = np.random.default_rng((*key, 1))  # a stream beside that of the pixels
        gain = generator.uniform(1 - self.gain, 1 + self.gain, C)
        offset = generator.uniform(-self.offset, self.offset, C)
        lost = generator.random(C) < self.sequence_dropout
        lost[generator.integers(C) if stand_in is None else stand_in] = False

        source = np.where(lost & (stand_in is not None), stand_in or 0, np.arange(C))
        channels, mean, deviation = channels[source], mean[source], deviation[source]
        if stand_in is None:
            channels[lost], mean[lost] = 0, 0
            offset[lost] = 0
        # (x - mean) / deviation * gain + offset, by another mean and deviation
        shifted, scaled = mean - offset * deviation / gain, deviation / gain
        return channels, shifted.astype(np.float32), scaled.astype(np.float32)
