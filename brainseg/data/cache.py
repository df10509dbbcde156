"""Scans: a data set decoded once into a cache that every run, cell and worker shares."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainseg.data.opened import Opened
from brainseg.data.prepare import prepare
from brainseg.data.preprocess import Geometry
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.reader import Reader, among
from brainseg.data.regions import apart, pack
from brainseg.data.store import Meta, open_store

SLICES = ("all", "brain", "tumour")
ON_ERROR = ("stop", "skip")

Rows = Sequence[int] | NDArray[np.int64]


class Scans:
    """The slices of a data set, at the network's size and as they were.

    A row is a slice: rows of one patient lie side by side, by slice number. Nothing is read before
    `prepare`. It pickles without its arrays, which are opened again where they are used.

    Args:
        reader: The data set, such as `LGG()`.
        root: Where its files are; None leaves it to the reader.
        modalities: Which of the reader's, in the order of the channels to be.
        regions: Which of the reader's are segmented, a channel of the masks each; None is all.
        slices: Which are trained on: `all`; `brain`, those with more than one grey value; `tumour`,
            those with some. All are validated and tested on.
        size, intensity, denoise, crop, head: Those of `Preprocessing`; size `auto` is 0.5.
        on_error: `stop` refuses a data set with any fault; `skip` leaves out what is faulty.
        cache_dir: Where caches are kept; None is `BRAINSEG_CACHE`, else the user's cache folder.

    Raises:
        ValueError: If an argument is none of these.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        root: str | Path | None = None,
        modalities: Sequence[str] | None = None,
        regions: Sequence[str] | None = None,
        slices: str = "all",
        size: int | float | Literal["auto"] = 256,
        intensity: str = "zscore",
        denoise: str = "none",
        crop: bool = False,
        head: str = "otsu",
        on_error: str = "stop",
        cache_dir: str | Path | None = None,
    ) -> None:
        self.reader = reader
        self.modalities = tuple(reader.modalities if modalities is None else modalities)
        self.root, self.cache_dir, self.on_error = root, cache_dir, on_error
        for key, value, known in (("slices", slices, SLICES), ("on_error", on_error, ON_ERROR)):
            if value not in known:
                raise ValueError(f"data.{key}={value}; must be {' or '.join(known)}; set it to one")
        self.slices = slices
        chosen = among("data.modalities", self.modalities, reader.modalities)
        self.regions = tuple(reader.regions if regions is None else regions)
        self._bits = among("data.regions", self.regions, reader.regions)
        size = 0.5 if size == "auto" else size
        self.preprocessing = Preprocessing(size, crop, denoise, intensity, chosen, head)
        self._folder: Path | None = None
        self._opened: Opened | None = None

    def prepare(self) -> None:
        """Open the cache; the first time, check and decode every file.

        Processes that do this at once build it once. The cache is built again when a file or a
        setting has changed, or when the cache is damaged.

        Raises:
            FileNotFoundError: If the reader finds no patients.
            ValueError: If anything is wrong with the files (all of it, a line each) and `on_error`
                is `stop`; or if no slice is left; or if the cache cannot be written.
        """
        if self._opened is None:
            skip = self.on_error == "skip"
            self._folder, store = prepare(
                self.reader, self.root, self.preprocessing, skip=skip, cache_dir=self.cache_dir
            )
            self._opened = Opened(store, self._bits)
            if (labelled := store.meta.labelled) is not None:
                self.reader.windows = labelled.bounds  # type: ignore[attr-defined]
                windows = labelled.windows(labelled.counts)  # until a split is known
                self.preprocessing = replace(self.preprocessing, windows=windows)
            size, where = store.meta.size, self._opened.orientation
            self.preprocessing = replace(self.preprocessing, size=size, orientation=where)

    @property
    def images(self) -> NDArray[np.uint8]:
        """All modalities `[N, size, size, C]`, a read-only memory map.

        Raises:
            OSError: If a file of the cache has become shorter since it was opened.
        """
        store = self._open().store
        store.refuse_truncated()
        return store.images

    @property
    def masks(self) -> NDArray[np.uint8]:
        """All regions `[N, size, size]`, bit k set within region k, a read-only memory map."""
        return self._open().store.masks

    def apart(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A mask of `masks`, `[H, W]`, as the chosen regions `[K, H, W]` of 0 and 1."""
        return apart(mask, self._bits)

    @property
    def index(self) -> pd.DataFrame:
        """A row per slice: patient, institution, slice, tumour, missing (+), blank, part.

        `tumour` is the pixels of the largest of the chosen regions, `part` what the data set itself
        says (train, val, test) or empty.
        """
        return self._open().index

    @property
    def persons(self) -> dict[str, str]:
        """Who patients are that other data sets have under other names (`reader.Patient`)."""
        return {each.name: each.person for each in self.meta.patients if each.person}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the decoded original images and masks, whatever the settings."""
        return self.meta.fingerprint

    @property
    def meta(self) -> Meta:
        """What is known of the cached data set."""
        return self._open().store.meta

    def geometry(self, row: int) -> Geometry:
        """That of the patient of slice `row`."""
        return self._open().geometry(row)

    def affine(self, row: int) -> NDArray[np.float64] | None:
        """From slice number, row and column to mm, of the patient of slice `row` (`Slices`)."""
        return self._open().affine(row)

    def image(self, row: int) -> NDArray[np.float32]:
        """The network's input for slice `row`, `[C, size, size]`."""
        return self.preprocessing.scale(self.images[row], self.geometry(row))

    def original_masks(self, rows: Rows) -> NDArray[np.bool_]:
        """The masks as they were, `[n, K, height, width]`; of one patient, or of patients alike."""
        height, width = self.geometry(int(rows[0])).shape
        flat = np.unpackbits(self.packed_masks(rows), axis=-1, count=height * width)
        return flat.reshape(*flat.shape[:2], height, width).astype(bool)

    def packed(self, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
        """Masks on the original pixels, `[K, height, width]` each, as `packed_masks` has them."""
        return np.stack([pack(mask, self._open().store.meta.packed) for mask in masks])

    def packed_masks(self, rows: Rows) -> NDArray[np.uint8]:
        """The masks as they were, one bit a pixel, `[n, K, bytes of the largest]`, zeros behind."""
        store = self._open().store
        store.refuse_truncated()
        packed: NDArray[np.uint8] = store.originals[np.asarray(rows, np.int64)[:, None], self._bits]
        return packed

    def to_original(self, probs: NDArray[np.float32], rows: Rows) -> list[NDArray[np.float32]]:
        """`[n, K, size, size]` with size and crop undone, `[K, height, width]` each; else 0."""
        return [
            self.preprocessing.undo(prob, self.geometry(row))
            for prob, row in zip(probs, rows, strict=True)
        ]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}  # a memory map pickles as all its bytes

    def _open(self) -> "Opened":
        if self._opened is None:
            if self._folder is None:
                raise RuntimeError("the scans are not read yet; call prepare() first")
            store = open_store(self._folder)
            if store is None:
                raise RuntimeError(f"cache {self._folder} is gone; call prepare() on a new Scans")
            self._opened = Opened(store, self._bits)
        return self._opened
