"""An open cache, by row: whose each slice is, and where it came from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brainseg.data.preprocess import Box
from brainseg.data.preprocessing import Geometry
from brainseg.data.store import Store


class Opened:
    """An open cache and its index, by row."""

    def __init__(self, store: Store, bits: Sequence[int]) -> None:
        self.store = store
        patients = store.meta.patients
        self.patient_of = np.repeat(np.arange(len(patients)), [len(p.slices) for p in patients])
        self.geometries = [
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
