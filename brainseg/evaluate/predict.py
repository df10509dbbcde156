"""Trained runs to probabilities on the original pixels, patient by patient."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brainseg.data.cache import Scans
from brainseg.evaluate.trained import Trained

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))  # axes; none is the first
THRESHOLD = 0.5  # on probabilities

Rows = NDArray[np.int64]
Probs = NDArray[np.float32]


@dataclass(frozen=True)
class Volume:
    """One patient's slices, or those of them that are scored.

    Attributes:
        patient: name.
        institution: where the patient was scanned.
        rows: of the scans' index.
        numbers: of the slices, rising.
        target: truth [D, H, W], on the original pixels.
        probs: predicted probability of tumour [D, H, W], in [0, 1].
        plain: the same without test-time augmentation; `probs` itself where there is none.
        missing: modalities that the patient lacks, joined by +.
    """

    patient: str
    institution: str
    rows: Rows
    numbers: list[int]
    target: NDArray[np.bool_]
    probs: Probs
    plain: Probs
    missing: str = ""


def volumes(
    members: Sequence[tuple[Trained, Scans]], rows: Rows, *, tta: bool = False
) -> Iterator[Volume]:
    """Predict slice by slice, and yield each patient as soon as its last slice is predicted.

    No more than one patient and one batch are in memory. Batches are those of training's own
    scoring, so that mixed precision gives the same bits.

    Args:
        members: runs and their prepared scans, whose indices are alike; of several, the mean
            probability is taken.
        rows: of the index; those of a patient side by side.
        tta: average over `FLIPS`.
    """
    scans = members[0][1]
    about = scans.index.iloc[rows]
    streams = [_by_patient(*member, rows, FLIPS if tta else FLIPS[:1]) for member in members]
    for _, group in about.groupby("patient", sort=False):
        parts = np.stack([next(stream) for stream in streams])  # [members, 2, D, H, W]
        plain, probs = parts[0] if len(parts) == 1 else parts.mean(axis=0)
        where = group.index.to_numpy(np.int64)
        yield Volume(
            patient=str(group["patient"].iloc[0]),
            institution=str(group["institution"].iloc[0]),
            rows=where,
            numbers=group["slice"].tolist(),
            target=scans.original_masks(where),
            probs=probs,
            plain=plain,
            missing=str(group["missing"].iloc[0]),
        )


def _by_patient(
    trained: Trained, scans: Scans, rows: Rows, flips: Sequence[tuple[int, ...]]
) -> Iterator[Probs]:
    """Each patient's plain and flip-averaged probabilities [2, D, H, W]."""
    names = scans.index["patient"].to_numpy()[rows]
    ends = [*(np.flatnonzero(names[1:] != names[:-1]) + 1), len(rows)]
    size = int(trained.config["batch_size"])
    held = np.empty((2, 0, *scans.original_shape), np.float32)
    start = 0
    for first in range(0, len(rows), size):
        held = np.concatenate(
            [held, _predict(trained, scans, rows[first : first + size], flips)], 1
        )
        while ends and start + held.shape[1] >= ends[0]:
            slices = ends.pop(0) - start
            yield held[:, :slices]
            held, start = held[:, slices:], start + slices


@torch.inference_mode()
def _predict(trained: Trained, scans: Scans, rows: Rows, flips: Sequence[tuple[int, ...]]) -> Probs:
    """Plain and flip-averaged probabilities of a batch [2, B, H, W]."""
    pixels = np.stack([scans.image(int(row)) for row in rows])
    image = torch.from_numpy(pixels).to(trained.module.device)  # [B, C, h, w]
    with trained.forward_context():
        each = [_probabilities(trained, image.flip(axes)).flip(axes) for axes in flips]
    plain = scans.to_original(each[0].cpu().numpy(), rows)
    if len(flips) == 1:
        return np.stack([plain, plain])
    mean = torch.stack(each).mean(0)
    return np.stack([plain, scans.to_original(mean.cpu().numpy(), rows)])


def _probabilities(trained: Trained, image: Tensor) -> Tensor:
    logits: Tensor = trained.module(image)
    return logits.float().sigmoid()[:, 0]  # [B, h, w]
