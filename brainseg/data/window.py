"""Intensities of CT, which mean the same in every patient: one window and one scale for all.

The window is the 0.5th to the 99.5th percentile of the labelled voxels of the patients that train,
and the scale their mean and standard deviation within it (as nnU-Net for CT; Isensee et al. 2021,
who take the patients of all folds). The cache, which serves every split, has bytes of a wider one,
and how many of a patient's labelled voxels have each: a split's own window is a part of these.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainseg.data.pool import each
from brainseg.data.reader import Patient, Reader, SliceError

Pixels = NDArray[np.uint8]

EDGES = (0.5, 99.5)  # percentiles
WIDE = (0.1, 99.9)  # likewise, of all: the EDGES of any fifth of the voxels lie within
ENOUGH = 10_000  # labelled voxels of a patient, evenly over them


@dataclass(frozen=True)
class Windows:
    """What the network gets of CT, of each channel.

    Attributes:
        bounds: the values that become 0 and 255 of a byte.
        inner: the bytes that become 0 and 255 of the network's; none: up to revision c48692f.
        mean: of the labelled voxels, in these.
        deviation: the standard deviation, likewise.

    Raises:
        ValueError: they are not as many, not rising, or not finite.
    """

    bounds: tuple[tuple[float, float], ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    inner: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        counts = {len(each) for each in (self.bounds, self.mean, self.deviation)}
        counts |= {len(self.inner)} if self.inner else set()
        sound = len(counts) == 1 and all(0 <= low < high <= 255 for low, high in self.inner)
        sound &= all(low < high for low, high in self.bounds) and min(self.deviation, default=0) > 0
        if not (sound and np.isfinite([*self.mean, *self.deviation, *sum(self.bounds, ())]).all()):
            raise ValueError(f"no windows of CT: {self.bounds} {self.inner}")

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any] | None) -> "Windows | None":
        """From what `dataclasses.asdict` gave, as JSON keeps it."""
        if plain is None:
            return None
        bounds = tuple((float(low), float(high)) for low, high in plain["bounds"])
        inner = tuple((int(low), int(high)) for low, high in plain.get("inner", ()))
        return cls(bounds, tuple(plain["mean"]), tuple(plain["deviation"]), inner)

    def __len__(self) -> int:
        return len(self.bounds)

    def __str__(self) -> str:
        """The values that become 0 and 255 of the network's bytes, of each channel."""
        inner = self.inner or ((0, 255),) * len(self)
        each = [
            f"{low + start * (high - low) / 255:.4g} to {low + end * (high - low) / 255:.4g}"
            for (low, high), (start, end) in zip(self.bounds, inner, strict=True)
        ]
        return ", ".join(each)

    def cut(self, number: int, channel: Pixels) -> Pixels:
        """Channel `number` of a slice, from bytes of `bounds` to the network's."""
        return stretched(*self.inner[number])[channel] if self.inner else channel


@dataclass(frozen=True)
class Labelled:
    """The labelled voxels of a data set.

    Attributes:
        bounds: as of `Windows`.
        counts: by patient and channel, how many have each byte [256].
    """

    bounds: tuple[tuple[float, float], ...]
    counts: Mapping[str, Sequence[Sequence[int]]]

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any] | None) -> "Labelled | None":
        """From what `dataclasses.asdict` gave, as JSON keeps it."""
        if plain is None:
            return None
        bounds = tuple((float(low), float(high)) for low, high in plain["bounds"])
        return cls(bounds, plain["counts"])

    def windows(self, patients: Collection[str]) -> Windows:
        """What these patients' voxels say.

        Raises:
            ValueError: none of them has any.
        """
        known = [self.counts[name] for name in patients if name in self.counts]
        if not known:
            raise ValueError(f"data.intensity=ct; none of {len(patients)} patients has a label")
        inner, mean, deviation = [], [], []
        for counts in np.sum(known, axis=0):
            values = np.repeat(np.arange(256), counts)
            low, high = np.percentile(values, EDGES).round().astype(int).tolist()
            inner.append((low, max(high, low + 1)))
            cut = stretched(*inner[-1])[values]
            mean.append(float(cut.mean()))
            deviation.append(max(float(cut.std()), 1e-3))
        return Windows(self.bounds, tuple(mean), tuple(deviation), tuple(inner))


@cache
def stretched(low: int, high: int) -> Pixels:
    """What each byte becomes where `low` becomes 0 and `high` 255, [256]."""
    scaled = (np.arange(256).clip(low, high) - low) * 255 / (high - low)
    return scaled.round().astype(np.uint8)


def measure(reader: Reader, patients: Sequence[Patient]) -> Labelled:
    """The labelled voxels of a data set.

    Raises:
        ValueError: its files do not hold what a CT measures, or no voxel is labelled.
    """
    foreground = getattr(reader, "foreground", None)
    if foreground is None:
        raise ValueError(
            f"data.intensity=ct; wants volumes of CT, which {type(reader).__name__} has none of; "
            "set data.intensity=zscore"
        )

    why = "no voxel is labelled"
    nothing = np.empty((0, len(reader.modalities)), np.float32)

    def sample(patient: Patient) -> NDArray[np.float32]:
        nonlocal why
        try:
            found: NDArray[np.float32] = foreground(patient)
        except (SliceError, ValueError) as error:  # which is told when it is read for the cache
            why = str(error)
            return nothing
        found = found[np.isfinite(found).all(axis=1)]  # else likewise
        return found[:: max(1, len(found) // ENOUGH)]

    every = each(sample, patients, "measuring intensities")
    samples = dict(zip([patient.name for patient in patients], every, strict=True))
    values = np.concatenate([nothing, *samples.values()])
    if not len(values):
        raise ValueError(f"data.intensity=ct; {why}; mend it, or set data.intensity=zscore")
    low, high = np.percentile(values, WIDE, axis=0)
    high = np.where(high > low, high, low + 1)
    counts = {}
    for name, found in samples.items():
        if len(found):
            grey = ((found.clip(low, high) - low) * 255 / (high - low)).round().astype(int)
            counts[name] = [np.bincount(channel, minlength=256).tolist() for channel in grey.T]
    return Labelled(tuple(zip(low.tolist(), high.tolist(), strict=True)), counts)
