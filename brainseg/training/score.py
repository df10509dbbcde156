"""Scores of a trained module on the original pixels of a split."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from brainseg.cores import SharedCores
from brainseg.data.datamodule import Part, SegmentationDataModule
from brainseg.data.dataset import scaled
from brainseg.inference import THRESHOLD, logits, probabilities
from brainseg.metrics import SCORES, count_packed, patient_means
from brainseg.module import SegmentationModule


@dataclass(frozen=True)
class Scored:
    """How a module does on one split, on the original pixels.

    Attributes:
        scores: dice, iou, precision, recall, accuracy: means over regions of the means over
            patients of the scores of each patient's whole volume. bce and loss (the module's own):
            means over the batches of the data loader, weighted by their size, at the network's
            size.
        patients: a row per patient and region: patient, region, institution, missing (modalities it
            lacks), slices of it in the split, tp, predicted, target, pixels (counts of original
            pixels) and the five scores.
        masks: predictions, one bit a pixel: uint8 [N, K, ceil(H0 W0 / 8)], `numpy.packbits`.
    """

    scores: dict[str, float]
    patients: pd.DataFrame
    masks: NDArray[np.uint8]


@torch.inference_mode()
def score(
    module: SegmentationModule,
    data: SegmentationDataModule,
    split: Part,
    *,
    forward: AbstractContextManager[None],
    shared: SharedCores | None = None,
) -> Scored:
    """Score a module on every slice of a split, without augmentation.

    Args:
        module: on the device to use; left in eval mode.
        data: set up.
        split: train, val or test.
        forward: the precision to run in, as of Lightning's `precision_plugin.forward_context()`.
        shared: to hold the cores of this machine for a batch; None does not care for others.
    """
    shared = shared or SharedCores(0)
    module.eval()
    counts = torch.zeros(len(data.patients), len(data.scans.regions), 4, dtype=torch.int64)
    masks: list[NDArray[np.uint8]] = []
    losses: list[torch.Tensor] = []  # [bce, own, slices] of each batch, on the device
    with forward:
        for batch in data.loader(split):
            shared.take()
            there = scaled({key: value.to(module.device) for key, value in batch.items()})
            found = logits(module, there["image"])
            terms = [
                _bce(found, there["mask"]),
                module.loss(found, there["mask"]),
                found.new_tensor(len(found)),
            ]
            losses.append(torch.stack(terms))
            rows = batch["row"].numpy()
            whole = data.scans.to_original(probabilities(found).cpu().numpy(), rows)
            masks.append(data.scans.packed([each > THRESHOLD for each in whole]))
            pixels = np.array([each[0].size for each in whole])
            added = count_packed(masks[-1], data.scans.packed_masks(rows), pixels)
            counts.index_add_(0, batch["patient"], added)
    shared.give()
    by_batch = torch.stack(losses).double().cpu()
    means = by_batch[:, :2].T @ by_batch[:, 2] / by_batch[:, 2].sum()
    scores = {name: float(value) for name, value in patient_means(counts).items()}
    scores |= {"bce": float(means[0]), "loss": float(means[1])}
    return Scored(scores, _by_patient(counts, data), np.concatenate(masks))


def _bce(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`losses.bce_loss` to a rounding error, without gradients.

    On a CPU torch's own takes four times as long, for its log1p is not vectorised (2.14).
    """
    loss = logits.abs().neg_().exp_().add_(1).log_()
    return loss.add_(logits.clamp(min=0)).sub_(logits * mask).mean()


def _by_patient(counts: torch.Tensor, data: SegmentationDataModule) -> pd.DataFrame:
    seen = counts[:, 0, 3] > 0
    names = np.array(data.patients)[seen.numpy()]
    known = data.scans.index.groupby("patient")[["institution", "missing"]].first()
    table: pd.DataFrame = known.loc[names].rename_axis("patient").reset_index()
    rows = data.scans.index.groupby("patient").indices
    sizes = [np.prod(data.scans.geometry(int(rows[name][0])).shape) for name in names]
    table["slices"] = counts[seen, 0, 3].numpy() // np.array(sizes)
    regions = data.scans.regions
    table = table.loc[table.index.repeat(len(regions))].reset_index(drop=True)
    table.insert(1, "region", list(regions) * len(names))
    counted = counts[seen].flatten(0, 1)  # of each patient its regions
    table[["tp", "predicted", "target", "pixels"]] = counted.numpy()
    for name, value in SCORES.items():
        table[name] = value(counted).numpy()
    return table
