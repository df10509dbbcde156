"""Prepared slices and trained modules to probabilities on the original pixels.

The only place that predicts: training scores with `logits` and `probabilities`, evaluate takes
`volumes` of cached scans, and a scan that was never cached goes through `predict`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from brainseg import hardware
from brainseg.data.preprocess import Pixels
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.window import Windows

if TYPE_CHECKING:  # whoever only predicts waits for no data set, and not for Lightning
    from brainseg.data.cache import Scans

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))  # axes; none is the first
THRESHOLD = 0.5  # on probabilities

Rows = NDArray[np.int64]
Probs = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A network that predicts.

    Attributes:
        module: images to logits, in eval mode, on the device to use.
        precision: as of `hardware.resolve`.
        batch_size: slices at a time.
        windows: of CT, by its own training's patients; None: those of the preprocessing.
    """

    module: nn.Module
    precision: str = "32-true"
    batch_size: int = 16
    windows: Windows | None = None

    @torch.inference_mode()
    def probabilities(self, image: Tensor, flips: Sequence[tuple[int, ...]]) -> Tensor:
        """Of each flip, turned back: [F, B, K, h, w] of slices [B, C, h, w]."""
        device = next(self.module.parameters()).device
        image = image.to(device, memory_format=torch.channels_last)
        with hardware.autocast(device, self.precision):
            each = [logits(self.module, image.flip(axes)).flip(axes) for axes in flips]
        return torch.stack([probabilities(one) for one in each])


@dataclass(frozen=True)
class Volume:
    """One region of one patient's slices, or of those of them that are scored.

    Attributes:
        patient: name.
        region: name.
        institution: where the patient was scanned.
        rows: of the scans' index.
        numbers: of the slices, rising.
        target: truth [D, H, W], on the original pixels.
        probs: predicted probability of the region [D, H, W], in [0, 1].
        plain: the same without test-time augmentation; `probs` itself where there is none.
        missing: modalities that the patient lacks, joined by +.
        spacing: of slices, rows and columns, in mm; None where the files tell none.
    """

    patient: str
    region: str
    institution: str
    rows: Rows
    numbers: list[int]
    target: NDArray[np.bool_]
    probs: Probs
    plain: Probs
    missing: str = ""
    spacing: tuple[float, float, float] | None = None


def logits(module: nn.Module, image: Tensor) -> Tensor:
    """Float32 logits [B, K, h, w] of slices on the module's device [B, C, h, w]."""
    found: Tensor = module(image)
    return found.float()


def probabilities(logits: Tensor) -> Tensor:
    """The probability of each region [B, K, h, w] of logits [B, K, h, w]."""
    return logits.sigmoid()


def predict(
    models: Sequence[Model], volume: Pixels, preprocessing: Preprocessing, *, tta: bool = False
) -> Probs:
    """A scan's probability of each region on its own pixels: no cache, no mask.

    Args:
        models: trained on slices prepared alike; of several, the mean probability is taken.
        volume: all slices of one patient, uint8 [D, H, W, M], the channels as the reader of the
            training has them.
        preprocessing: that of the training, but for the models' own windows.
        tta: average over `FLIPS`.

    Returns:
        [K, D, H, W], in [0, 1].
    """
    image, geometry = preprocessing.apply(volume)
    flips = FLIPS if tta else FLIPS[:1]
    each = []
    for model in models:
        if model.windows not in (None, preprocessing.windows):
            preprocessing = replace(preprocessing, windows=model.windows)
            image, geometry = preprocessing.apply(volume)
        parts = torch.split(image, model.batch_size)
        means = torch.cat([model.probabilities(part, flips).mean(0) for part in parts])
        regions = means.cpu().numpy().swapaxes(0, 1)  # [K, D, h, w]
        whole = [preprocessing.undo(region, geometry) for region in regions]
        each.append(np.stack(whole) if len(whole) > 1 else whole[0][None])  # a volume is large
    if len(each) == 1:
        return each[0]
    mean: Probs = np.mean(each, axis=0, dtype=np.float32)
    return mean


def volumes(
    members: "Sequence[tuple[Model, Scans]]", rows: Rows, *, tta: bool = False
) -> Iterator[Volume]:
    """Predict cached slices, and yield each patient's regions once its last slice is predicted.

    No more than one patient and one batch are in memory. Batches are those of training's own
    scoring, so that mixed precision gives the same bits.

    Args:
        members: models and their prepared scans, whose indices are alike; of several, the mean
            probability is taken.
        rows: of the index; those of a patient side by side.
        tta: average over `FLIPS`.
    """
    scans = members[0][1]
    index = scans.index.iloc[rows]
    streams = [_by_patient(*member, rows, FLIPS if tta else FLIPS[:1]) for member in members]
    for _, group in index.groupby("patient", sort=False):
        parts = np.stack([next(stream) for stream in streams])  # [members, 2, D, K, H, W]
        plain, probs = parts[0] if len(parts) == 1 else parts.mean(axis=0)
        where = group.index.to_numpy(np.int64)
        target, affine = scans.original_masks(where), scans.affine(int(where[0]))
        sides = None if affine is None else np.linalg.norm(affine[:3, :3], axis=0).tolist()
        for k, region in enumerate(scans.regions):
            yield Volume(
                patient=str(group["patient"].iloc[0]),
                region=region,
                institution=str(group["institution"].iloc[0]),
                rows=where,
                numbers=group["slice"].tolist(),
                target=target[:, k],
                probs=probs[:, k],
                plain=plain[:, k],
                missing=str(group["missing"].iloc[0]),
                spacing=None if sides is None else (sides[0], sides[1], sides[2]),
            )


def _by_patient(
    model: Model, scans: "Scans", rows: Rows, flips: Sequence[tuple[int, ...]]
) -> Iterator[Probs]:
    """Each patient's plain and flip-averaged probabilities [2, D, K, H, W]."""
    names = scans.index["patient"].to_numpy()[rows]
    ends = [*(np.flatnonzero(names[1:] != names[:-1]) + 1), len(rows)]
    held: list[Probs] = []
    start = 0
    for first in range(0, len(rows), model.batch_size):
        batch = rows[first : first + model.batch_size]
        held += _batch(model, scans, batch, flips)
        while ends and start + len(held) >= ends[0]:
            slices = ends.pop(0) - start
            yield np.stack(held[:slices], axis=1)
            held, start = held[slices:], start + slices


def _batch(
    model: Model, scans: "Scans", rows: Rows, flips: Sequence[tuple[int, ...]]
) -> list[Probs]:
    """Plain and flip-averaged probabilities of some slices, [2, K, H, W] each."""
    pixels = np.stack([scans.image(int(row)) for row in rows])
    each = model.probabilities(torch.from_numpy(pixels), flips)
    plain = scans.to_original(each[0].cpu().numpy(), rows)
    if len(flips) == 1:
        return [np.stack([one, one]) for one in plain]
    mean = scans.to_original(each.mean(0).cpu().numpy(), rows)
    return [np.stack(both) for both in zip(plain, mean, strict=True)]
