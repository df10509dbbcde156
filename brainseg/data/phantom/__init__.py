"""Phantom: synthetic patients in the layout of LGG, for runs without scans and without network."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from brainseg.data.lgg import LGG
from brainseg.data.phantom.anatomy import draw_head
from brainseg.data.phantom.folder import check, drawn
from brainseg.data.phantom.mri import acquire
from brainseg.data.reader import Found, Patient, Slices

__all__ = ["Phantom"]

FORMAT = 2  # of the pictures: changes whenever the same arguments give other pixels
INSTITUTIONS = ("DU", "HT", "CS", "FG")  # each with its own scanner, and about as often as in LGG
SHARES = (0.4, 0.3, 0.15, 0.15)


class Phantom:
    """Synthetic brains with tumours, written once as TIFF files that `LGG` reads.

    Every patient has tumour; about 65 % of the slices have none. Contrast goes from plain to
    hardly visible, and one in ten patients lacks a sequence, which is a copy of FLAIR as in LGG.
    A patient depends on `seed`, its number, `slices` and `size` alone.

    Args:
        patients: Number of patients.
        slices: Fewest and most slices of a patient.
        size: Height and width in pixels.
        seed: Seed of everything; another seed gives other patients.

    Raises:
        ValueError: If an argument is out of range.
    """

    modalities: tuple[str, ...] = LGG.modalities
    regions: tuple[str, ...] = LGG.regions
    bits = LGG.bits
    stand_in: str | None = LGG.stand_in
    same_size = True
    layout = LGG()  # which reads what was drawn, and other scans in the same layout
    settings = ""  # all of them are in the name of the folder that they are drawn into

    def __init__(
        self,
        *,
        patients: int = 24,
        slices: tuple[int, int] = (20, 40),
        size: int = 128,
        seed: int = 0,
    ) -> None:
        check(patients, slices, size, seed)
        self.patients = patients
        self.slices = (slices[0], slices[1])
        self.size = size
        self.seed = seed

    def find(self, root: str | Path | None = None) -> Found:
        """Find the phantoms, after writing them the first time.

        Args:
            root: The folder that they are kept in, one folder below for every choice of arguments;
                None is the cache's (`brainseg.data.prepare.cache_folder`).

        Raises:
            ValueError: If they cannot be written.
        """
        fewest, most = self.slices
        name = f"{self.patients}x{fewest}-{most}-{self.size}px-seed{self.seed}-v{FORMAT}"
        return self.layout.find(drawn(root, name, self._write))

    def shape(self, patient: Patient) -> tuple[int, int] | None:
        """As `LGG.shape`."""
        return self.layout.shape(patient)

    def read(self, patient: Patient) -> Slices:
        """Read a patient as `LGG.read` does."""
        return self.layout.read(patient)

    def draw(self, number: int) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8]]:
        """Draw patient `number`, counted from 0.

        Returns:
            Its name, images uint8 `[D, H, W, 3]` and masks uint8 `[D, H, W]` of 0 and 1.
        """
        rng = np.random.default_rng((self.seed, number))
        scanner = int(rng.choice(len(INSTITUTIONS), p=SHARES))
        slices = int(rng.integers(self.slices[0], self.slices[1] + 1))
        while True:
            head = draw_head(rng, slices=slices, size=self.size)
            if head.mask.any():  # a small tumour can fall between few slices
                break
        images = acquire(rng, head, scanner=scanner)
        name = f"TCGA_{INSTITUTIONS[scanner]}_P{number:03d}_20000101"
        return name, images, head.mask.astype(np.uint8)

    def _write(self, folder: Path) -> None:
        for number in tqdm(range(self.patients), "drawing", unit="patient", delay=2, disable=None):
            name, images, masks = self.draw(number)
            _write_patient(folder / "kaggle_3m" / name, images, masks)


def _write_patient(folder: Path, images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> None:
    folder.mkdir(parents=True)
    for number, (image, mask) in enumerate(zip(images, masks, strict=True), start=1):
        Image.fromarray(image).save(folder / f"{folder.name}_{number}.tif")
        Image.fromarray(mask * 255).save(folder / f"{folder.name}_{number}_mask.tif")
