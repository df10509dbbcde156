"""What every data set's reader gives: its patients, and their slices as arrays."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Patient:
    """One patient's slices, in the order of their numbers.

    Attributes:
        name: Unique in the data set.
        institution: Where the patient was scanned.
        slices: Slice numbers, rising.
        images: The file of each slice.
        masks: The file of each slice's mask.
        volumes: Where a file is a volume, that of each modality in the reader's order; one that was
            not acquired has the stand-in's.
    """

    name: str
    institution: str
    slices: tuple[int, ...]
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    volumes: tuple[Path, ...] = ()

    def without(self, positions: Collection[int]) -> "Patient":
        """The same patient without the slices at `positions` (0 is the first slice)."""
        kept = [k for k in range(len(self.slices)) if k not in positions]
        return replace(
            self,
            slices=tuple(self.slices[k] for k in kept),
            images=tuple(self.images[k] for k in kept),
            masks=tuple(self.masks[k] for k in kept),
        )


class Found(NamedTuple):
    """What lies below a root, all of it.

    Attributes:
        patients: Those to be read, by name.
        problems: What is wrong, a line each, with its path; each line stands for one slice or
            folder that is not among the patients.
        left_out: What else is there and why it is not read, a few words each; no faults.
        places: Where the patients lie, such as `train 12, test 9`; empty where all are together.
        root: The folder that was looked through.
    """

    patients: list[Patient]
    problems: list[str]
    left_out: list[str]
    places: str
    root: Path


class SliceError(ValueError):
    """Slices of one patient that cannot be used.

    Attributes:
        problems: What is wrong, each line with its path, by the slice's position in the patient.
    """

    def __init__(self, problems: dict[int, list[str]]) -> None:
        super().__init__("\n".join(line for lines in problems.values() for line in lines))
        self.problems = problems


class Reader(Protocol):
    """A data set as files. Readers hold no arrays and touch no disk until they are asked."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the channels of an image are, in the file's order."""

    @property
    def stand_in(self) -> str | None:
        """The modality whose copy fills the channel of one that was not acquired; None: nothing."""

    @property
    def regions(self) -> tuple[str, ...]:
        """What the masks tell apart, at most eight, such as wt, tc, et; they may overlap."""

    @property
    def settings(self) -> str:
        """What its pixels, masks and patients depend on beside the files; a cache's name has it."""

    @property
    def same_size(self) -> bool:
        """Whether a patient with slices of another size than most patients' is a fault."""

    def find(self, root: str | Path | None) -> Found:
        """The patients below `root`, and what becomes of everything else there."""

    def shape(self, patient: Patient) -> tuple[int, int] | None:
        """Height and width of the patient's slices, by the first sound one; None where none is."""

    def read(self, patient: Patient) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Images `[D, H, W, C]` and masks `[D, H, W]`, whose bit k is set within region k.

        Raises:
            SliceError: If any slice cannot be used; it names them all.
        """


def region_of(chosen: tuple[str, ...], known: tuple[str, ...]) -> int:
    """Where the chosen region is among a reader's.

    Raises:
        ValueError: it is unknown, or not one.
    """
    if len(chosen) != 1 or chosen[0] not in known:
        raise ValueError(
            f"data.regions={list(chosen)}; must be one of {', '.join(known)}: a network segments "
            f"one region; set data.regions=[{known[0]}]"
        )
    return known.index(chosen[0])


def channels(chosen: tuple[str, ...], known: tuple[str, ...]) -> tuple[int, ...]:
    """Where the chosen modalities are among a reader's.

    Raises:
        ValueError: one is unknown, or is chosen twice, or none is.
    """
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        raise ValueError(
            f"data.modalities={list(chosen)}; must be some of {', '.join(known)}, each once; "
            f"set data.modalities=[{','.join(known)}] or fewer"
        )
    return tuple(known.index(modality) for modality in chosen)
