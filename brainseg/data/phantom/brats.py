"""Phantoms as BraTS has its patients: four sequences, skull-stripped, three nested regions."""

import csv
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from tqdm import tqdm

from brainseg.data.brats import GRADES, BraTS
from brainseg.data.phantom.anatomy import DEEP, GREY, SULCUS, VESSEL, WHITE, Head, draw_head, noise
from brainseg.data.phantom.folder import check, drawn
from brainseg.data.reader import Found, Patient, Slices
from brainseg.data.regions import region_bits

__all__ = ["BraTSPhantom"]

FORMAT = 1  # of the volumes: changes whenever the same arguments give other voxels
SEQUENCES = ("flair", "t1", "t1ce", "t2")
FILES = {name: (f"_{name}",) for name in SEQUENCES}
REGIONS = {"wt": (1, 2, 4), "tc": (1, 4), "et": (4,)}
NECROSIS, EDEMA, ENHANCING = 1, 2, 4
# Grey of each sequence. In anatomy's order: air, scalp, bone, CSF, sulcus, grey, white, deep grey,
# face, vessel; then necrosis, edema, enhancing tumour.
TISSUES = np.array(
    [
        [0, 0.60, 0.07, 0.08, 0.11, 0.41, 0.32, 0.37, 0.27, 0.12, 0.35, 0.70, 0.60],
        [0, 0.78, 0.09, 0.13, 0.15, 0.34, 0.48, 0.41, 0.36, 0.25, 0.20, 0.35, 0.36],
        [0, 0.74, 0.10, 0.15, 0.18, 0.38, 0.50, 0.44, 0.43, 0.85, 0.22, 0.37, 0.85],
        [0, 0.55, 0.07, 0.90, 0.75, 0.50, 0.38, 0.44, 0.40, 0.15, 0.80, 0.72, 0.55],
    ],
    dtype=np.float32,
)
_FIRST = TISSUES.shape[1] - 3  # column of necrosis
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])  # 1 mm; columns to the left, rows to the back


class BraTSPhantom:
    """Synthetic patients in the layout of BraTS 2020, written once as NIfTI that `BraTS` reads.

    Sequences flair, t1, t1ce, t2 in int16; regions wt, tc, et; 1 mm. One in four patients has no
    enhancing tumour and the grade LGG, the others HGG (`name_mapping.csv`). Grey values are chosen
    by eye. A patient depends on `seed`, its number, `slices` and `size` alone.

    Args:
        patients: how many.
        slices: fewest and most of a patient.
        size: height and width in pixels; BraTS has 240, and 155 slices.
        seed: of everything; another seed gives other patients.

    Raises:
        ValueError: an argument is out of range.
    """

    modalities: tuple[str, ...] = SEQUENCES
    regions: tuple[str, ...] = tuple(REGIONS)
    bits = region_bits(REGIONS)
    stand_in: str | None = BraTS.stand_in
    same_size = False
    layout = BraTS(files=FILES, labels=("_seg",), regions=REGIONS)  # which reads what was drawn
    settings = ""  # all of them are in the name of the folder that they are drawn into
    licence = "as these drawings, which are nobody's"
    limits = ("synthetic brains: nothing of a patient was learnt",)

    def __init__(
        self,
        *,
        patients: int = 24,
        slices: tuple[int, int] = (20, 40),
        size: int = 96,
        seed: int = 0,
    ) -> None:
        check(patients, slices, size, seed)
        self.patients, self.slices = patients, (slices[0], slices[1])
        self.size, self.seed = size, seed

    def find(self, root: str | Path | None = None) -> Found:
        """The phantoms, after writing them the first time.

        Args:
            root: what they are kept in; None is the cache's folder.

        Raises:
            ValueError: they cannot be written.
        """
        fewest, most = self.slices
        name = f"brats-{self.patients}x{fewest}-{most}-{self.size}px-seed{self.seed}-v{FORMAT}"
        return self.layout.find(drawn(root, name, self._write))

    def shape(self, patient: Patient) -> tuple[int, int] | None:
        """As `BraTS.shape`."""
        return self.layout.shape(patient)

    def read(self, patient: Patient) -> Slices:
        """As `BraTS.read`."""
        return self.layout.read(patient)

    def draw(self, number: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Patient `number`, counted from 0: sequences [4, D, H, W], and labels [D, H, W]."""
        rng = np.random.default_rng((self.seed, number))
        slices = int(rng.integers(self.slices[0], self.slices[1] + 1))
        while True:
            head = draw_head(rng, slices=slices, size=self.size)
            labels = _labels(rng, head, enhancing=number % 4 != 3)
            if (labels == NECROSIS).any() and (number % 4 == 3 or (labels == ENHANCING).any()):
                return _scan(rng, head, labels), labels

    def _write(self, folder: Path) -> None:
        rows = []
        for number in tqdm(range(self.patients), "drawing", unit="patient", delay=2, disable=None):
            images, labels = self.draw(number)
            name = f"BraTS20_Training_{number + 1:03d}"
            (folder / name).mkdir()
            volumes = [*zip(SEQUENCES, images, strict=True), ("seg", labels)]
            for what, values in volumes:
                image: Any = nib.Nifti1Image(values.transpose(2, 1, 0), AFFINE)  # type: ignore[no-untyped-call]
                nib.save(image, folder / name / f"{name}_{what}.nii.gz")
            grade = "HGG" if (labels == ENHANCING).any() else "LGG"
            rows.append({"Grade": grade, "BraTS_2020_subject_ID": name})
        with (folder / GRADES).open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)


def _labels(rng: np.random.Generator, head: Head, *, enhancing: bool) -> NDArray[np.uint8]:
    """Edema around a core, whose rim may enhance."""
    core = rng.uniform(0.6, 0.8)
    rim = core * rng.uniform(0.55, 0.8)
    reach = head.reach + 0.05 * head.grain
    labels = np.where(head.mask, EDEMA, 0).astype(np.uint8)
    labels[head.mask & (reach < core)] = ENHANCING if enhancing else NECROSIS
    labels[head.mask & (reach < rim)] = NECROSIS
    return labels


def _scan(rng: np.random.Generator, head: Head, labels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The brain alone in four sequences, with partial volume, bias field and noise."""
    tissue = head.labels.copy()
    for k, label in enumerate((NECROSIS, EDEMA, ENHANCING)):
        tissue[labels == label] = _FIRST + k
    matter = np.isin(head.labels, (SULCUS, GREY, WHITE, DEEP, VESSEL))
    brain = np.stack([ndimage.binary_fill_holes(plane) for plane in matter])
    contrast = rng.uniform(0.4, 1, 4).astype(np.float32)  # of the tumour, of each sequence
    images = np.empty((4, *tissue.shape), np.int16)
    for k, grey in enumerate(TISSUES):
        own = grey.copy()
        own[_FIRST:] = grey[WHITE] + contrast[k] * (grey[_FIRST:] - grey[WHITE])
        signal = own[tissue] + 0.02 * head.rough
        signal *= 1 + 0.1 * np.clip(noise(rng, tissue.shape, 2), -2, 2)
        signal = ndimage.gaussian_filter(signal, (0, 0.6, 0.6), output=np.float32)
        signal += rng.normal(0, 0.02, tissue.shape).astype(np.float32)
        images[k] = np.where(brain, np.clip(1000 * signal, 1, 2000), 0)
    return images
