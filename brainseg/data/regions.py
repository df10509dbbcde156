"""Regions of a mask: which labels are of each, as bits; packed, and as one label a pixel again."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Labels = dict[str, int]


def region_bits(regions: Mapping[str, Collection[int]]) -> dict[int, int]:
    """Every known label, 0 among them, to the regions that it is of: bit k of the k-th region.

    Raises:
        ValueError: there are more than eight regions, or none; one has no label, or a label is no
            whole number.
    """
    labels = sorted({0, *(label for each in regions.values() for label in each)})
    odd = any(type(label) is not int or label < 0 for label in labels)
    if not 1 <= len(regions) <= 8 or not all(regions.values()) or odd:
        raise ValueError(
            f"data.reader.regions={dict(regions)}; must be one to eight regions of whole numbers; "
            "write data.reader.regions={tumour: [1, 2]}"
        )
    return {
        label: sum(1 << k for k, each in enumerate(regions.values()) if label in each)
        for label in labels
    }


def to_bits(labels: NDArray[Any], bits: Mapping[int, int], path: Path) -> Pixels:
    """A file's labels as region bits, in the same shape; of 1 alone 255 may stand for it.

    Raises:
        ValueError: there is a label that is not known; names the file.
    """
    found = np.unique(labels)
    if set(bits) == {0, 1} and set(found.tolist()) <= {0, 255}:
        labels = labels > 0
    elif unknown := [f"{value:g}" for value in found if value not in bits]:
        known = ", ".join(map(str, sorted(bits)))
        raise ValueError(f"{path} has labels {', '.join(unknown[:5])}; must be of {known}")
    table = np.zeros(max(bits) + 1, np.uint8)
    table[list(bits)] = list(bits.values())
    return np.asarray(table[labels.astype(np.int64)])


def labels_of(bits: Mapping[int, int], known: Sequence[str], chosen: Sequence[str]) -> Labels:
    """The label that stands for each chosen region where a map has one label a pixel.

    That which is of the fewest regions, then the lowest: of BraTS 2 for wt, 1 for tc, 4 for et.

    Args:
        bits: the reader's.
        known: the reader's regions.
        chosen: some of them.

    Returns:
        By region, in the order in which to paint them, the widest first.
    """
    inside = {
        region: [label for label, of in bits.items() if of >> known.index(region) & 1]
        for region in chosen
    }
    return {
        region: min(labels, key=lambda label: (bits[label].bit_count(), label))
        for region, labels in sorted(inside.items(), key=lambda each: -len(each[1]))
    }


def apart(masks: Pixels, bits: Sequence[int]) -> Pixels:
    """Region bits [..., H, W] as 0 and 1 of the k-th of some regions, [..., K, H, W]."""
    shifts = np.asarray(bits, np.uint8)[:, None, None]
    return np.asarray(masks[..., None, :, :] >> shifts & 1, np.uint8)


def pack(inside: NDArray[Any], width: int) -> Pixels:
    """Masks of 0 and 1 [..., H, W], one bit a pixel and zeros behind: [..., width] bytes."""
    packed = np.packbits(inside.reshape(*inside.shape[:-2], -1), axis=-1)
    return np.pad(packed, [(0, 0)] * (packed.ndim - 1) + [(0, width - packed.shape[-1])])
