"""Arrays in, pictures out: masks over scans."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.utils import draw_segmentation_masks, make_grid

MISS = "#E61A1A"  # truth only
FALSE_ALARM = "#1AD933"  # prediction only
HIT = "#FFE61A"  # both: red and green make yellow
# of regions, in their order
REGIONS = ("#ff3b30", "#ffd60a", "#32d74b", "#64d2ff", "#ff9f0a", "#bf5af2", "#ff6482", "#ffffff")


def overlay(
    image: NDArray[np.floating],
    target: NDArray[np.bool_],
    preds: NDArray[np.bool_],
    opacity: float = 0.55,
) -> NDArray[np.float32]:
    """A scan with truth in red, prediction in green and, where they agree, yellow.

    So what is left red was missed and what is left green is a false alarm.

    Args:
        image: one modality [H, W], any range; shown from its least to its 99.5th percentile.
        target: true mask [H, W].
        preds: predicted mask [H, W].
        opacity: of the colours, 0 to 1.

    Returns:
        [H, W, 3] in [0, 1].
    """
    parts = np.stack([target & ~preds, preds & ~target, preds & target])
    return painted(image, parts, (MISS, FALSE_ALARM, HIT), opacity)


def painted(
    image: NDArray[np.floating],
    masks: NDArray[np.bool_],
    colours: Sequence[str],
    opacity: float = 0.55,
) -> NDArray[np.float32]:
    """A scan with masks on it, each in its colour; later ones cover those before.

    Args:
        image: one modality [H, W], any range; shown from its least to its 99.5th percentile.
        masks: [K, H, W].
        colours: at least K, as Matplotlib names them.
        opacity: of the colours, 0 to 1.

    Returns:
        [H, W, 3] in [0, 1].
    """
    shown = masks.copy()  # without what later ones cover: torchvision draws no colour there
    for k in range(len(masks)):
        shown[k] &= ~np.logical_or.reduce(masks[k + 1 :], axis=0)
    low, high = float(image.min()), float(np.percentile(image, 99.5))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    drawn: Tensor = draw_segmentation_masks(
        torch.from_numpy(grey).float().expand(3, -1, -1),
        torch.from_numpy(shown),
        alpha=opacity,
        colors=list(colours[: len(masks)]),
    )
    return drawn.permute(1, 2, 0).numpy()


def panel(
    images: NDArray[np.floating], targets: NDArray[np.bool_], preds: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Scans above, their overlays below.

    Args:
        images: one modality of each slice [B, H, W].
        targets: true masks [B, H, W].
        preds: predicted masks [B, H, W].

    Returns:
        [2 H, B W, 3] in [0, 1].
    """
    nothing = np.zeros_like(targets[0])
    plain = [overlay(image, nothing, nothing) for image in images]
    marked = [overlay(*each) for each in zip(images, targets, preds, strict=True)]
    tiles = torch.from_numpy(np.stack([*plain, *marked])).permute(0, 3, 1, 2)  # [2 B, 3, H, W]
    grid: Tensor = make_grid(tiles, nrow=len(images), padding=0)
    return grid.permute(1, 2, 0).numpy()
