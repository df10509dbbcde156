"""`python -m brainseg.data.preview OVERRIDES`: a picture of what a network would be trained on.

The overrides are those of `brainseg.train`, e.g. `data=phantom data.crop=true augment=light`.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from hydra.errors import HydraException
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from omegaconf import OmegaConf

from brainseg.config import check_types, compose, instantiate
from brainseg.data.cache import Scans
from brainseg.data.transforms import Augmentation, transform
from brainseg.errors import reason
from brainseg.figures.overlay import REGIONS

__all__ = ["contact_sheet", "main"]

PATIENTS = 5  # the rows of the sheet, below them one slice without tumour
AUGMENTED = 4  # versions of each slice


def contact_sheet(scans: Scans, augment: Augmentation, *, seed: int = 0) -> Figure:
    """Draw slices as the network gets them: each modality, then FLAIR (or the first) augmented.

    Grey goes from the least to the 99.5th percentile of each picture; the mask is outlined in red,
    further regions in the next of `brainseg.figures.overlay.REGIONS`.

    Args:
        scans: Prepared scans.
        augment: What `brainseg.data.transforms.augment` builds.
        seed: Seed of the augmentation; the column of epoch 0 is what epoch 0 of a run with it sees.

    Returns:
        A figure with a row for each of some patients, from the most tumour to the least (the slice
        with the most of it), and one for a slice without tumour.
    """
    rows = _examples(scans.index)
    shown = scans.modalities.index("flair") if "flair" in scans.modalities else 0
    name = scans.modalities[shown]
    columns = [*scans.modalities, *(f"{name}, epoch {epoch}" for epoch in range(AUGMENTED))]
    figure = Figure(figsize=(1.7 * len(columns), 1.8 * len(rows) + 0.6), layout="constrained")
    grid: NDArray[np.object_] = figure.subplots(len(rows), len(columns), squeeze=False)
    for row, axes in zip(rows, grid, strict=True):
        pixels, mask = np.array(scans.images[row]), np.array(scans.masks[row])
        scale, geometry = scans.preprocessing.scale, scans.geometry(row)
        for axis, image in zip(axes, scale(pixels, geometry), strict=False):
            _show(axis, image, scans.apart(mask))
        for epoch, axis in enumerate(axes[len(scans.modalities) :]):
            moved, moved_mask = transform(augment, pixels, mask, (seed, epoch, row))
            _show(axis, scale(moved, geometry)[shown], scans.apart(moved_mask))
        known = scans.index.iloc[row]
        label = f"{known['patient'].removeprefix('TCGA_')}\nslice {known['slice']}"
        axes[0].set_ylabel(f"{label}, tumour {known['tumour']} px", fontsize=6)
    for axis, title in zip(grid[0], columns, strict=True):
        axis.set_title(title, fontsize=8)
    if len(scans.regions) > 1:
        lines = [
            Line2D([], [], color=colour) for _, colour in zip(scans.regions, REGIONS, strict=False)
        ]
        figure.legend(lines, scans.regions, loc="outside lower center", ncols=8, fontsize=7)
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Draw the contact sheet of a configuration and print its path."""
    parser = argparse.ArgumentParser(prog="python -m brainseg.data.preview", description=__doc__)
    parser.add_argument("overrides", nargs="*", help="as for brainseg.train, e.g. data=phantom")
    parser.add_argument("--out", type=Path, default=Path("outputs/preview.png"), help="%(default)s")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        cfg = compose(given.overrides)
        check_types(OmegaConf.to_container(cfg, resolve=True))
        scans: Scans = instantiate(cfg.data)
        augment: Augmentation = instantiate(cfg.augment)
        scans.prepare()
        figure = contact_sheet(scans, augment, seed=cfg.seed)
        caption = _caption(cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True)))
        figure.suptitle(caption, fontsize=8, wrap=True)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(given.out, dpi=160)
    except (HydraException, ValueError, OSError) as error:
        sys.exit(str(error) if isinstance(error, HydraException) else reason(error))
    sys.stdout.write(f"{given.out}\n")


def _examples(index: pd.DataFrame) -> list[int]:
    """Return rows: the slice with most tumour of patients of all burdens, one without tumour."""
    largest = index.loc[index.groupby("patient")["tumour"].idxmax(), "tumour"].sort_values()
    chosen = np.linspace(len(largest) - 1, 0, min(PATIENTS, len(largest))).round().astype(int)
    without = np.flatnonzero(index["tumour"] == 0)
    middle = without[len(without) // 2 :][:1]  # neither the first slices nor the last, if any
    return [*largest.index[chosen].tolist(), *middle.tolist()]


def _show(axis: Axes, image: NDArray[np.float32], masks: NDArray[np.uint8]) -> None:
    axis.imshow(image, cmap="gray", vmin=float(image.min()), vmax=float(np.percentile(image, 99.5)))
    for mask, colour in zip(masks, REGIONS, strict=False):
        if mask.any():
            axis.contour(mask, levels=[0.5], colors=colour, linewidths=0.7)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _caption(cfg: dict[str, Any]) -> str:
    """Return the settings that the picture depends on, in two lines."""
    data = {key: cfg["data"][key] for key in ("size", "intensity", "denoise", "crop", "head")}
    steps = {key: value for key, value in cfg["augment"].items() if key != "_target_"}
    lines = (
        f"{name}: " + ", ".join(f"{key} {value}" for key, value in group.items())
        for name, group in (("data", data), ("augment", steps))
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
