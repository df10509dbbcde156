"""Pictures of patients: the scan, and on it what was hit, missed and falsely found."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from brainseg.data.cache import Scans
from brainseg.data.reader import Patient
from brainseg.evaluate.measure import SHOWN, Strip
from brainseg.figures.overlay import FALSE_ALARM, HIT, MISS, overlay

EACH = 3  # patients in a picture, where there are enough
_LEGEND = (
    Patch(color=HIT, label="hit: truth and prediction"),
    Patch(color=MISS, label="missed: truth only"),
    Patch(color=FALSE_ALARM, label="false alarm: prediction only"),
)


def chosen(patients: pd.DataFrame) -> dict[str, list[str]]:
    """The names of the best, median and worst patients by Dice, best first."""
    ranked = patients.sort_values("dice", ascending=False, kind="stable")["patient"].tolist()
    n = max(1, min(EACH, len(ranked) // 3))
    middle = (len(ranked) - n) // 2
    return {"best": ranked[:n], "median": ranked[middle : middle + n], "worst": ranked[-n:]}


def pictures(
    scans: Scans, patients: pd.DataFrame, strips: Mapping[str, Strip], region: str
) -> dict[str, Figure]:
    """A picture of the best, the median and the worst patients each, by file name.

    Args:
        scans: prepared; the originals are read from their files.
        patients: a row a patient, with patient, dice, target and predicted.
        strips: slices to show, by patient.
        region: that they are of.
    """
    channel = scans.regions.index(region)
    rows = patients.set_index("patient")
    files = {patient.name: patient for patient in scans.reader.find(scans.root).patients}
    figures = {}
    for kind, names in chosen(patients).items():
        figure = Figure(figsize=(1.75 * SHOWN, 3.75 * len(names) + 0.8), layout="constrained")
        of = f" of {region}" if len(scans.regions) > 1 else ""
        figure.suptitle(f"{kind} patients by Dice{of}", fontsize=13)
        blocks = np.atleast_1d(np.asarray(figure.subfigures(len(names), 1), object))
        for block, name in zip(blocks, names, strict=True):
            block.suptitle(_title(name, rows), fontsize=9, parse_math=False)
            numbers = scans.index["slice"].iloc[strips[name].rows].tolist()
            _show(
                block.subplots(2, SHOWN),
                originals(scans, files[name], numbers),
                scans.original_masks(strips[name].rows)[:, channel],
                strips[name].preds,
                numbers,
            )
        figure.legend(handles=_LEGEND, loc="outside lower center", ncols=3, frameon=False)
        figures[f"patients-{kind}"] = figure
    return figures


def originals(scans: Scans, patient: Patient, numbers: Collection[int]) -> NDArray[np.uint8]:
    """FLAIR (or the first modality) of some slices of a patient, as in its files [D, H, W]."""
    others = [k for k, number in enumerate(patient.slices) if number not in numbers]
    images, *_ = scans.reader.read(patient.without(others))
    shown = "flair" if "flair" in scans.modalities else scans.modalities[0]
    return images[..., scans.reader.modalities.index(shown)]


def _title(name: str, patients: pd.DataFrame) -> str:
    target, predicted, tp = (
        f"{int(patients[c][name]):,} px" for c in ("target", "predicted", "tp")
    )
    dice = float(patients["dice"][name])
    return f"{name}   Dice {dice:.3f}   tumour {target}, predicted {predicted}, hit {tp}"


def _show(
    axes: Any,
    images: NDArray[np.uint8],
    targets: NDArray[np.bool_],
    preds: NDArray[np.bool_],
    numbers: Sequence[int],
) -> None:
    """Scans above, their overlays below; axes [2, SHOWN], the others [D, ...]."""
    for axis in axes.flat:
        axis.set_axis_off()
    nothing = np.zeros_like(targets[0])
    for column, number in enumerate(numbers):
        image = images[column].astype(np.float32)
        axes[0, column].set_title(f"slice {number}", fontsize=8)
        axes[0, column].imshow(overlay(image, nothing, nothing))
        axes[1, column].imshow(overlay(image, targets[column], preds[column]))
