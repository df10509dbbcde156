"""Slices as tensors: the data set of one split."""

from typing import TypedDict

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from brainseg.data.cache import Scans
from brainseg.data.transforms import transform


class Slice(TypedDict):
    """One slice; a batch holds the same keys, stacked along a first axis B."""

    image: Tensor  # float32 [C, H, W]
    mask: Tensor  # float32 [1, H, W], 0 or 1
    patient: int  # index into SegmentationDataModule.patients
    row: int  # index into Scans.index


class SliceDataset(Dataset[Slice]):
    """Some slices of prepared scans, augmented or not.

    An item is asked for by its position in `rows`, or by (position, epoch): with augmentation, an
    image depends on seed, epoch and row alone. A bare position means epoch 0.

    Args:
        scans: Prepared scans.
        rows: Rows of `scans.index`, in the order wanted.
        patient: For every row of `scans.index`, the number of its patient.
        augment: What `brainseg.data.transforms.augment` builds; None leaves the slices as they are.
        seed: Seed of the augmentation.
    """

    def __init__(
        self,
        scans: Scans,
        rows: NDArray[np.int64],
        *,
        patient: NDArray[np.int64],
        augment: A.Compose | None = None,
        seed: int = 0,
    ) -> None:
        self.scans = scans
        self.rows = rows
        self.patient = patient
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, int]) -> Slice:
        position, epoch = key if isinstance(key, tuple) else (key, 0)
        row = int(self.rows[position])
        pixels, mask = np.array(self.scans.images[row]), np.array(self.scans.masks[row])
        if self.augment is not None:
            pixels, mask = transform(self.augment, pixels, mask, (self.seed, epoch, row))
        return Slice(
            image=torch.from_numpy(self.scans.scale(pixels, row)),
            mask=torch.from_numpy(mask).float().unsqueeze(0),
            patient=int(self.patient[row]),
            row=row,
        )
