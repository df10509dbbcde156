"""A case as it was read: its sequences on one grid, and how a mask goes back to that grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

FLAIR = "flair"


@dataclass(frozen=True)
class Scan:
    """One case.

    Attributes:
        name: of the case, and of its files.
        sequences: name to uint8 [D, H, W], all on one grid; `main` is always among them.
        files: which file each is.
        write: takes values [D, H, W], a path without ending, and what they are, such as `mask`,
            which goes behind its name; writes one file or several of the kind that was read, and
            returns them. bool is a mask, uint8 labels, else probabilities.
        back: turns [D, H, W] into the file's own axes.
        spacing: of slices, rows and columns, in mm; None where the file tells none.
        orientation: where these three run to, such as SPL (up, back, left); empty likewise.
        notes: what was done to it, or would mislead, a line each.
        main: the sequence that stands in for what is missing: FLAIR, of weights that know it.
    """

    name: str
    sequences: Mapping[str, Pixels]
    files: Mapping[str, Sequence[Path]]
    write: Callable[[NDArray[Any], Path, str], list[Path]] = lambda values, stem, what: []
    back: Callable[[NDArray[Any]], NDArray[Any]] = lambda values: values
    spacing: tuple[float, float, float] | None = None
    orientation: str = ""
    notes: list[str] = field(default_factory=list)
    main: str = FLAIR

    def volume(self, order: Sequence[str]) -> Pixels:
        """Channels in an order, uint8 [D, H, W, M]; `main` stands in for what is not there."""
        each = [self.sequences.get(name, self.first) for name in order]
        planes = [np.ascontiguousarray(pixels).reshape(-1, pixels.shape[-1]) for pixels in each]
        return np.asarray(cv2.merge(planes), np.uint8).reshape(*self.first.shape, len(order))

    @property
    def first(self) -> Pixels:
        """The slices of `main`."""
        return self.sequences[self.main]

    def known_as(self, channels: Sequence[str]) -> "Scan":
        """The same for weights whose channels have other names, by their place.

        A lone sequence that no name told (read as FLAIR) is their only channel; the three of a
        picture are their three, and of a grey one each of them.

        Raises:
            ValueError: the weights know no FLAIR, and several channels that the case has not.
        """
        if FLAIR in channels or self.sequences.keys() == set(channels):
            return self
        grey_picture = self.spacing is None and len(self.sequences) == 1
        if len(self.sequences) != len(channels) and not grey_picture:
            raise ValueError(
                f"{self.name} has {', '.join(self.sequences)}; the weights know "
                f"{', '.join(channels)}: name a file for each (..._{channels[-1]}), or give a "
                "picture with these channels"
            )
        new = dict(zip(self.sequences, channels, strict=False))
        sequences = {new[name]: each for name, each in self.sequences.items()}
        files = {new.get(name, name): each for name, each in self.files.items()}
        return replace(self, sequences=sequences, files=files, main=new.get(FLAIR, channels[0]))

    def missing(self, order: Sequence[str]) -> list[str]:
        """What `main` stands in for."""
        return [name for name in order if name not in self.sequences]


def bounds(mask: Mask) -> list[list[int]]:
    """First and last slice, row and column of a mask [D, H, W]; 0 and -1 where it is empty."""
    each = [np.flatnonzero(mask.any(axis)) for axis in ((1, 2), (0, 2), (0, 1))]
    return [[int(found[0]), int(found[-1])] if len(found) else [0, -1] for found in each]


def without_small(mask: Mask, share: float) -> Mask:
    """A mask [D, H, W] without the parts that are smaller than a share of the largest."""
    inside = tuple(slice(low, high + 1) for low, high in bounds(mask))
    parts, count = ndimage.label(mask[inside], ndimage.generate_binary_structure(3, 3))
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0  # what is around them
    kept = np.zeros_like(mask)
    kept[inside] = (sizes >= share * sizes.max())[parts]
    return kept
