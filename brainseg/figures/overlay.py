"""Arrays in, pictures out: masks over scans."""

import numpy as np
from numpy.typing import NDArray

MISS = (0.90, 0.10, 0.10)  # truth only
FALSE_ALARM = (0.10, 0.85, 0.20)  # prediction only
HIT = (1.00, 0.90, 0.10)  # both: red and green make yellow


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
    low, high = float(image.min()), float(np.percentile(image, 99.5))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    picture = np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)
    regions = (
        (target & ~preds, MISS),
        (preds & ~target, FALSE_ALARM),
        (preds & target, HIT),
    )
    for region, colour in regions:
        picture[region] = (1 - opacity) * picture[region] + opacity * np.array(colour)
    return picture


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
    return np.concatenate([np.concatenate(plain, axis=1), np.concatenate(marked, axis=1)])
