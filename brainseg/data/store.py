"""The cache's files, opened as memory maps; `writer` writes them.

images.u8     uint8 [N, size, size, C]
masks.u8      uint8 [N, size, size], bit k set within region k
originals.u1  the masks as they were, one bit a pixel, each region of a slice starting on a byte
meta.json     `Meta`, and the bytes of the others
"""

import json
import logging
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainseg.data.window import Labelled

FORMAT = 6  # another one too wherever a reader makes other pixels or masks of the same files
PIXELS = ("images.u8", "masks.u8", "originals.u1")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PatientMeta:
    """What is known of one patient's cached slices.

    Attributes:
        name: Unique in the data set.
        institution: Where the patient was scanned.
        slices: Slice numbers, rising; one row of the cache each.
        shape: Height and width of the originals.
        tumour: Pixels of each region in each slice of the original.
        box: Upper, left, side of the square that was cut out of the original.
        mean: Of each channel over the cached foreground.
        deviation: The standard deviation, likewise.
        missing: Modalities that were not acquired; another's copy stands in their channels.
        blank: Whether each slice has one grey value.
        affine: As in `reader.Slices`, row by row; empty where the files tell none.
        ranges: Likewise, of each channel.
        part: Train, val or test, where the data set itself says so.
        person: As in `reader.Patient`.
    """

    name: str
    institution: str
    slices: list[int]
    shape: tuple[int, int]
    tumour: list[list[int]]
    box: tuple[int, int, int]
    mean: list[float]
    deviation: list[float]
    missing: list[str]
    blank: list[bool]
    affine: list[list[float]]
    ranges: list[tuple[float, float]]
    part: str
    person: str

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "PatientMeta":
        """From what `dataclasses.asdict` gave, as JSON keeps it."""
        return cls(**plain | {"shape": tuple(plain["shape"])})


@dataclass(frozen=True)
class Meta:
    """What is known of the cached data set.

    Attributes:
        source: What was read how: the reader's name, its root and the settings of the pixels.
        fingerprint: SHA-256 of the decoded original images and masks.
        packed: Bytes of an original mask: those of the largest, smaller ones end in zeros.
        size: Height and width of the cached slices.
        channels: All modalities of the reader.
        regions: All regions of the reader.
        problems: What is wrong with the files, a line each.
        skipped: Slices and folders that were left out for that.
        duplicates: Pairs of files with the same pixels under two patients.
        patients: In the order of the rows.
        labelled: With `intensity=ct`, what its voxels measure; else None.
    """

    source: list[str]
    fingerprint: str
    packed: int
    size: int
    channels: int
    regions: int
    problems: list[str]
    skipped: int
    duplicates: list[tuple[str, str]]
    patients: list[PatientMeta]
    labelled: Labelled | None = None


@dataclass(frozen=True)
class Store:
    """An open cache; the arrays are read-only memory maps of the module's files.

    They can be read on where the cache is deleted or built anew: a map keeps its file.
    """

    folder: Path
    meta: Meta
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    originals: NDArray[np.uint8]

    def refuse_truncated(self) -> None:
        """Refuse to read on where a file has become shorter than its map.

        Reading the missing part would end the process with a signal.

        Raises:
            OSError: names the cache.
        """
        for array in (self.images, self.masks, self.originals):
            assert isinstance(array.base, mmap)
            if array.base.size() < array.nbytes:  # that of the file, now
                raise OSError(
                    f"the cache {self.folder} was truncated while in use; "
                    "run the same command again, which builds it anew"
                )


def open_store(folder: Path) -> Store | None:
    """The cache in `folder`; None if there is none, or if it is damaged."""
    try:
        raw: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        sizes = {name: (folder / name).stat().st_size for name in PIXELS}
        if sizes != raw.pop("bytes"):
            raise ValueError("a file is truncated")
        patients = [PatientMeta.from_plain(patient) for patient in raw.pop("patients")]
        pairs = [tuple(pair) for pair in raw.pop("duplicates")]
        # up to revision c48692f "windows", of the caches of CT, which are not used any more
        labelled = Labelled.from_plain(raw.pop("labelled", raw.pop("windows", None)))
        meta = Meta(**raw, duplicates=pairs, patients=patients, labelled=labelled)
    except (OSError, ValueError, TypeError, KeyError) as error:
        if folder.exists():
            log.warning("the cache %s is damaged (%s)", folder, error)
        return None
    n = sum(len(patient.slices) for patient in meta.patients)
    shapes: list[tuple[int, ...]] = [
        (n, meta.size, meta.size, meta.channels),
        (n, meta.size, meta.size),
        (n, meta.regions, meta.packed),
    ]
    maps = [
        np.memmap(folder / name, np.uint8, "r", shape=shape)
        for name, shape in zip(PIXELS, shapes, strict=True)
    ]
    return Store(folder, meta, *maps)
