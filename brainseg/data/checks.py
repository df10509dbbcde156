"""What is looked for in the pixels of a patient while the cache is built."""

import hashlib
from collections.abc import Sequence

import numpy as np

from brainseg.data.preprocess import Pixels
from brainseg.data.reader import Patient

LARGEST = 0.5  # of a slice, its corners with it: no tumour or organ is, but an inverted mask


def missing(images: Pixels, modalities: Sequence[str], stand_in: str | None) -> list[str]:
    """The modalities whose channel `[D, H, W]` is a copy of the one that stands in for missing."""
    if stand_in is None:
        return []
    copied = images[..., modalities.index(stand_in)]
    middle = len(images) // 2  # tells most patients apart without looking at all slices
    return [
        name
        for name, channel in zip(modalities, np.moveaxis(images, -1, 0), strict=True)
        if name != stand_in
        and np.array_equal(channel[middle], copied[middle])
        and np.array_equal(channel, copied)
    ]


def is_blank(image: Pixels) -> bool:
    """Whether a slice has one colour."""
    colour = image[0, 0]
    return bool((image[0] == colour).all() and (image == colour).all())  # the first row tells most


def sha256(array: Pixels) -> str:
    """Of the pixels, whatever their layout in memory."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def implausible(
    patient: Patient, images: Pixels, masks: Pixels, blank: Sequence[bool]
) -> dict[int, list[str]]:
    """What cannot be meant in a patient's slices, by position; lines with the file.

    Args:
        patient: Whose files they are.
        images: `[D, H, W, C]`.
        masks: `[D, H, W]` of region bits.
        blank: Whether each image has one grey value.
    """
    found: dict[int, list[str]] = {}
    for k, (mask, empty) in enumerate(zip(masks, blank, strict=True)):
        corners = mask[:: len(mask) - 1 or 1, :: mask.shape[1] - 1 or 1]
        if (share := (mask > 0).mean()) > LARGEST and corners.all():
            what = f"the mask covers {share:.0%} of the slice; is it inverted?"
            found[k] = [f"{patient.masks[k]}: {what}"]
        elif empty and mask.any():
            found[k] = [f"{patient.images[k]}: one grey value, but its mask has tumour"]
        elif all(blank):
            found[k] = [f"{patient.images[k]}: one grey value, as every slice of the patient"]
    return found
