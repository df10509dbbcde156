"""The README's picture: `python docs/pictures/patient.py multirun/weights patient.png`.

Of all patients that the folds tested it takes the one at the median Dice, as published weights
would segment it, by the fold that has not seen it; its slice with the most tumour is drawn.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brainseg.export.folds import as_published, patients, volume_dice
from brainseg.runs.folder import METRICS, RunFolder


def main(sweep: Path, target: Path) -> None:
    """Choose the patient, draw it, and say who it is."""
    tested = []
    for path in sorted(sweep.glob(f"*/{METRICS}")):
        cell = RunFolder(path.parent)
        config = cell.config or {}
        if config["split"].get("fold") is None:
            continue
        segmenter = as_published(cell)
        names = cell.required_metrics["split"]["members"]["test"]
        for scan, truth in patients(config, names):
            tested.append((volume_dice(segmenter, [scan], truth), cell, scan.name))
    tested.sort(key=lambda each: each[0])
    dice, cell, name = tested[len(tested) // 2]
    ((scan, truth),) = patients(cell.config or {}, [name])
    segmenter = as_published(cell)
    mask = segmenter.mask(segmenter.probabilities(scan), segmenter.cut(scan))[0]
    k = int(truth.sum((1, 2)).argmax())
    figure = draw(scan.sequences["flair"][k], truth[k], mask[k], dice)
    figure.savefig(target, dpi=100)
    sys.stdout.write(f"{name}, slice {k + 1} of {len(truth)}, Dice {dice:.3f}, {target}\n")


def draw(
    image: NDArray[np.uint8], truth: NDArray[np.bool_], mask: NDArray[np.bool_], dice: float
) -> Figure:
    """The slice, and the slice with the mask in green and the truth as a white outline."""
    figure = Figure(figsize=(6.4, 3.3), layout="constrained")
    for axis, title in zip(
        figure.subplots(1, 2), ("FLAIR", "mask, and truth as outline"), strict=True
    ):
        axis.imshow(image, cmap="gray", vmax=np.percentile(image, 99.5))
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    shown = np.zeros((*mask.shape, 4))
    shown[mask] = (0.17, 0.63, 0.17, 0.55)
    axis.imshow(shown)
    axis.contour(truth, [0.5], colors="white", linewidths=1.2)
    figure.suptitle(f"a patient that the network never saw: Dice {dice:.2f}", fontsize=9)
    return figure


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
