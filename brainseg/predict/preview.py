"""A picture of a case: the slices with the most tumour, as they are and with the mask."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from brainseg.figures.overlay import FALSE_ALARM, REGIONS, painted
from brainseg.predict.scan import Scan

SLICES = 4


def write_preview(
    scan: Scan, mask: NDArray[np.bool_], path: Path, regions: Sequence[str] = ("tumour",)
) -> Path:
    """FLAIR, or what stands in its place, above, the mask on it below; the middle slice if empty.

    Args:
        scan: the case.
        mask: [K, D, H, W].
        path: of the picture.
        regions: their K names; one is green, several have the colours of the legend.
    """
    several = len(regions) > 1
    colours = REGIONS if several else (FALSE_ALARM,)
    area = mask.any(0).sum((1, 2))
    chosen = sorted(np.argsort(-area, kind="stable")[: min(SLICES, max(1, int((area > 0).sum())))])
    if not area.any():
        chosen = [len(area) // 2]
    figure = Figure(figsize=(2.4 * len(chosen), 5.2), layout="constrained")
    axes = figure.subplots(2, len(chosen), squeeze=False)
    for column, k in enumerate(chosen):
        image = scan.first[k].astype(np.float32)
        axes[0, column].imshow(painted(image, np.zeros_like(mask[:1, k]), colours))
        axes[1, column].imshow(painted(image, mask[:, k], colours))
        axes[0, column].set_title(f"slice {k + 1} of {len(area)}", fontsize=8)
        axes[1, column].set_xlabel(f"{area[k]} pixels", fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    if several:
        patches = [Patch(color=colour) for _, colour in zip(regions, colours, strict=False)]
        figure.legend(patches, regions, loc="outside lower center", ncols=8, frameon=False)
    title = f"{scan.name}\nresearch only, not a medical device"
    figure.suptitle(title, fontsize=min(9, 250 * len(chosen) / max(map(len, title.split("\n")))))
    figure.savefig(path, dpi=110)
    return path
