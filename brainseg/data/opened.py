"""An open cache, by row: whose each slice is, and where it came from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainseg.data.nifti import orientation_of
from brainseg.data.preprocess import Box, Geometry
from brainseg.data.store import Store


class Opened:
    """An open cache and its index, by row.

    Attributes:
        store: the cache.
        patient_of: of each row, the number of its patient.
        index: as of `Scans`.
        orientation: where slices, rows and columns run to in the files, each that there is.
    """

    def __init__(self, store: Store, bits: Sequence[int]) -> None:
        self.store = store
        patients = store.meta.patients
        self.patient_of = [k for k, each in enumerate(patients) for _ in each.slices]
        self._affines = [np.array(each.affine) if each.affine else None for each in patients]
        known = (each for each in self._affines if each is not None)
        self.orientation = tuple(sorted({orientation_of(each) for each in known}))
        self._geometries: list[Geometry] = [
            Geometry(
                each.shape,
                Box(*each.box),
                np.asarray(each.mean, np.float32),
                np.asarray(each.deviation, np.float32),
            )
            for each in patients
        ]
        self.index = pd.DataFrame(
            {
                "patient": [patients[k].name for k in self.patient_of],
                "institution": [patients[k].institution for k in self.patient_of],
                "slice": [number for p in patients for number in p.slices],
                "tumour": [
                    max(pixels[bit] for bit in bits) for p in patients for pixels in p.tumour
                ],
                "blank": [blank for p in patients for blank in p.blank],
                "missing": ["+".join(patients[k].missing) for k in self.patient_of],
                "part": [patients[k].part for k in self.patient_of],
            }
        )

    def geometry(self, row: int) -> Geometry:
        """That of the patient of a row."""
        return self._geometries[self.patient_of[row]]

    def affine(self, row: int) -> NDArray[np.float64] | None:
        """From slice number, row and column to mm, of the patient of a row."""
        return self._affines[self.patient_of[row]]
