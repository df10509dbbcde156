"""Intensities of CT, which mean the same in every patient: one window and one scale for all.

The window is the 0.5th to the 99.5th percentile of the labelled voxels of all patients, and the
scale their mean and standard deviation within it (as nnU-Net for CT; Isensee et al. 2021, who
take all cases of all folds; so do we, those that are tested too: one cache serves every split).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainseg.data.pool import each
from brainseg.data.reader import Patient, Reader, SliceError

EDGES = (0.5, 99.5)  # percentiles
ENOUGH = 10_000  # labelled voxels of a patient, evenly over them


@dataclass(frozen=True)
class Windows:
    """Of each channel.

    Attributes:
        bounds: the values that become 0 and 255.
        mean: of the labelled voxels, in these bytes.
        deviation: the standard deviation, likewise.
    """

    bounds: tuple[tuple[float, float], ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any] | None) -> "Windows | None":
        """From what `dataclasses.asdict` gave, as JSON keeps it."""
        if plain is None:
            return None
        bounds = tuple((float(low), float(high)) for low, high in plain["bounds"])
        return cls(bounds, tuple(plain["mean"]), tuple(plain["deviation"]))


def measure(reader: Reader, patients: Sequence[Patient]) -> Windows:
    """The windows of a data set.

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

    values = np.concatenate([nothing, *each(sample, patients, "measuring intensities")])
    if not len(values):
        raise ValueError(f"data.intensity=ct; {why}; mend it, or set data.intensity=zscore")
    low, high = np.percentile(values, EDGES, axis=0)
    high = np.where(high > low, high, low + 1)
    scaled = (values.clip(low, high) - low) * 255 / (high - low)
    return Windows(
        tuple(zip(low.tolist(), high.tolist(), strict=True)),
        tuple(scaled.mean(0).tolist()),
        tuple(np.maximum(scaled.std(0), 1e-3).tolist()),
    )
