"""The data module of a run: its scans, split, and loaders."""

import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Literal

import cv2
import lightning as L
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from brainseg.data.cache import Scans
from brainseg.data.dataset import Slice, SliceDataset, scaled
from brainseg.data.split import Split
from brainseg.data.transforms import Augmentation

log = logging.getLogger(__name__)

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


class SegmentationDataModule(L.LightningDataModule):
    """Prepares the scans, splits them and loads them in batches.

    The constructor touches no disk. After `setup()`:

    - `patients`: all patients' names; `Slice["patient"]` counts in it.
    - `split`: the rows of each part.
    - `members`: the names of each part's patients, `{"train": [...], "val": [...], "test": [...]}`.

    Where training resumes, set `first_epoch`, counted from 0, before the trainer asks for a loader.

    Args:
        scans: The scans; prepared by `setup()`.
        augment: What `brainseg.data.transforms.augment` builds, for the training slices alone.
        split: Takes the index, returns the rows of each part (`brainseg.data.split`).
        sampler: Takes bool `[N]` (tumour or not) and `seed`, gives the order of the training slices
            (`brainseg.data.sampler`).
        batch_size: Slices in a batch; the last batch of an epoch may be smaller.
        workers: Processes that load; 0 loads in the training process. Results do not depend on it.
        pin: Put batches into pinned memory, from which a GPU copies faster.
        seed: Seed of order and augmentation.

    Raises:
        ValueError: If `batch_size` is below 1 or `workers` below 0; by `setup()` if `batch_size` is
            above the number of training slices, none of these has tumour, or a patient is on two
            sides of a split that is not leaky; and whatever `scans.prepare()` and `split` raise.
    """

    def __init__(
        self,
        scans: Scans,
        *,
        augment: Augmentation,
        split: Callable[[pd.DataFrame], Split],
        sampler: Callable[..., Sampler[tuple[int, int]]],
        batch_size: int = 16,
        workers: int = 0,
        pin: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1; set batch_size=16")
        if workers < 0:
            raise ValueError(f"workers={workers} must not be negative; set workers=0 or more")
        self.scans = scans
        self.augment = augment
        self.make_split = split
        self.make_sampler = sampler
        self.batch_size = batch_size
        self.workers = workers
        self.pin = pin
        self.seed = seed
        self.first_epoch = 0

    def setup(self, stage: str | None = None) -> None:
        """Prepare and split the scans; the same for every stage, done once."""
        if hasattr(self, "split"):
            return
        self.scans.prepare()
        index = self.scans.index
        patient, names = pd.factorize(index["patient"], sort=True)
        split = self.make_split(index)
        members = {part: sorted(set(index["patient"].iloc[getattr(split, part)])) for part in PARTS}
        if split.leaky:
            log.warning("LEAKY split: a patient is on several sides, scores are too good")
        else:
            _refuse_shared(members)
        if (own := index["part"]).any() and (own.iloc[split.test] != "test").any():
            log.warning("the data set has a split of its own, which split=given would keep")
        split = replace(split, train=_kept(self.scans, split.train))
        if self.batch_size > len(split.train):
            raise ValueError(
                f"batch_size={self.batch_size} must not be above the {len(split.train)} training "
                "slices; set batch_size lower"
            )
        if not index["tumour"].iloc[split.train].any():
            raise ValueError(
                f"none of the {len(split.train)} training slices has tumour in its mask, so there "
                "is nothing to learn; give the scans with their masks in data.root"
            )
        self.patients: list[str] = [str(name) for name in names]
        self.patient: NDArray[np.int64] = patient.astype(np.int64)
        _learn_windows(self.scans, members["train"])
        self.members = members
        self.split = split

    def on_after_batch_transfer(
        self, batch: dict[str, torch.Tensor], dataloader_idx: int
    ) -> dict[str, torch.Tensor]:
        """Scale a batch, on the device; Lightning calls it, whatever module is trained."""
        return scaled(batch)

    def train_dataloader(self) -> DataLoader[Slice]:
        """Load the training slices, augmented, in the sampler's order."""
        tumour = self.scans.index["tumour"].to_numpy()[self.split.train] > 0
        sampler = self.make_sampler(tumour, seed=self.seed)
        if callable(set_epoch := getattr(sampler, "set_epoch", None)):
            # Lightning 2.6 does too, but on a resume only when workers have drawn the first ones
            set_epoch(self.first_epoch)
        return self._loader("train", augment=self.augment, sampler=sampler)

    def val_dataloader(self) -> DataLoader[Slice]:
        """Load the validation slices, in order."""
        return self._loader("val")

    def loader(self, part: Part) -> DataLoader[Slice]:
        """Load the slices of "train", "val" or "test" as they are, in the index's order, once."""
        return self._loader(part, persistent=False)

    def _loader(
        self,
        part: Part,
        augment: Augmentation | None = None,
        sampler: Sampler[tuple[int, int]] | None = None,
        persistent: bool = True,
    ) -> DataLoader[Slice]:
        rows: NDArray[np.int64] = getattr(self.split, part)
        if self.workers == 0:
            _one_thread(0)
        return DataLoader(
            SliceDataset(self.scans, rows, patient=self.patient, augment=augment, seed=self.seed),
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=persistent and self.workers > 0,
            multiprocessing_context=_processes() if self.workers > 0 else None,
            worker_init_fn=_one_thread,
            pin_memory=self.pin,
            # Of its own, so that loading draws nothing from the stream that dropout draws from.
            generator=torch.Generator().manual_seed(self.seed),
        )


def _learn_windows(scans: Scans, patients: list[str]) -> None:
    """With `intensity=ct`, take window and scale from these patients alone: those that train."""
    if (labelled := scans.meta.labelled) is not None:
        windows = labelled.windows(patients)
        log.info("CT from %s, by the labels of the %d that train", windows, len(patients))
        scans.preprocessing = replace(scans.preprocessing, windows=windows)


def _kept(scans: Scans, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the training rows that `data.slices` keeps."""
    index = scans.index.iloc[rows]
    kept = {"brain": ~index["blank"], "tumour": index["tumour"] > 0}.get(scans.slices)
    return rows if kept is None else rows[kept.to_numpy()]


def _refuse_shared(members: dict[Part, list[str]]) -> None:
    """Raise if a patient is in two parts."""
    for first, second in combinations(PARTS, 2):
        shared = set(members[first]) & set(members[second])
        if shared:
            raise ValueError(
                f"patients={sorted(shared)} must not be in both {first} and {second}; "
                "use split=patient, or return Split(..., leaky=True)"
            )


def _processes() -> str:
    """How workers start: as children of this process, so that they end when it is killed.

    In a sweep's cell the default is its forkserver; workers would be the server's children, import
    everything anew, and outlive the cell.
    """
    return "fork" if sys.platform == "linux" else "spawn"


def _one_thread(worker: int) -> None:
    """Keep OpenCV to the thread that loads: more would fight torch's, or the other workers'."""
    cv2.setNumThreads(0)
