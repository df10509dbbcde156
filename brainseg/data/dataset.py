"""Slices as tensors: the data set of one split, and what the network gets of its batches."""

from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from brainseg.data.cache import Scans
from brainseg.data.transforms import Augmentation, transform


class Slice(TypedDict):
    """One slice; a batch holds the same keys, stacked along a first axis B.

    Bytes, so that loader processes and the way to a card have a quarter to move: `scaled` makes
    of a batch what the network gets.
    """

    image: Tensor  # uint8 [C, H, W]
    mean: Tensor  # float32 [C]; to be subtracted
    deviation: Tensor  # float32 [C]; then to be divided by
    mask: Tensor  # uint8 [K, H, W], 0 or 1
    patient: int  # index into SegmentationDataModule.patients
    row: int  # index into Scans.index


def scaled(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch with float32 images as `Preprocessing.scale` has them, and float32 masks of 0 and 1.

    On the device that it is on. One that has no `mean` is scaled already, and is given back.
    """
    if "mean" not in batch:
        return batch
    others = {key: value for key, value in batch.items() if key not in ("mean", "deviation")}
    mean, deviation = (batch[key][..., None, None] for key in ("mean", "deviation"))
    image = batch["image"].float().sub_(mean).div_(deviation)
    return others | {"image": image, "mask": batch["mask"].float()}


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
        augment: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.scans = scans
        self.rows = rows
        self.patient = patient
        self.augment = augment
        self.seed = seed
        name = scans.reader.stand_in
        self.stand_in = scans.modalities.index(name) if name in scans.modalities else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, int]) -> Slice:
        position, epoch = key if isinstance(key, tuple) else (key, 0)
        row = int(self.rows[position])
        pixels, mask = np.array(self.scans.images[row]), np.array(self.scans.masks[row])
        if self.augment is not None:
            pixels, mask = transform(self.augment, pixels, mask, (self.seed, epoch, row))
        preprocessing = self.scans.preprocessing
        mean, deviation = preprocessing.levels(self.scans.geometry(row))
        channels = preprocessing.select(pixels)
        if self.augment is not None:
            channels, mean, deviation = self.augment.levels(
                channels,
                mean,
                deviation,
                stand_in=self.stand_in,
                key=(self.seed, epoch, row),
            )
        return Slice(
            image=torch.from_numpy(channels),
            mean=torch.from_numpy(mean),
            deviation=torch.from_numpy(deviation),
            mask=torch.from_numpy(self.scans.apart(mask)),
            patient=int(self.patient[row]),
            row=row,
        )
