"""A picture of a case: the slices with the most tumour, as they are and with the mask."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brainseg.figures.overlay import overlay
from brainseg.predict.scan import FLAIR, Scan

SLICES = 4


def write_preview(scan: Scan, mask: NDArray[np.bool_], path: Path) -> Path:
    """FLAIR above, the mask in green on it below; the middle slice where nothing was found."""
    area = mask.sum((1, 2))
    chosen = sorted(np.argsort(-area, kind="stable")[: min(SLICES, max(1, int((area > 0).sum())))])
    if not area.any():
        chosen = [len(mask) // 2]
    figure = Figure(figsize=(2.4 * len(chosen), 5.2), layout="constrained")
    axes = figure.subplots(2, len(chosen), squeeze=False)
    nothing = np.zeros_like(mask[0])
    for column, k in enumerate(chosen):
        image = scan.sequences[FLAIR][k].astype(np.float32)
        axes[0, column].imshow(overlay(image, nothing, nothing))
        axes[1, column].imshow(overlay(image, nothing, mask[k]))
        axes[0, column].set_title(f"slice {k + 1} of {len(mask)}", fontsize=8)
        axes[1, column].set_xlabel(f"{area[k]} pixels", fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    figure.suptitle(f"{scan.name}: research only, not a medical device", fontsize=9)
    figure.savefig(path, dpi=110)
    return path
