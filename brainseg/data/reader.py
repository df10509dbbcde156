"""What every data set's reader gives: its patients, and their slices as arrays."""

from collections.abc import Collection, Mapping
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
            not acquired has another's.
        part: train, val or test, where the data set itself says so.
        person: who it is where other data sets have the same patients, as TCGA names them; empty
            where that is the name, or is not known.
        absent: Modalities without a file.
    """

    name: str
    institution: str
    slices: tuple[int, ...]
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    volumes: tuple[Path, ...] = ()
    part: str = ""
    person: str = ""
    absent: tuple[str, ...] = ()

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


class Slices(NamedTuple):
    """A patient's slices as they were scanned.

    Attributes:
        images: `[D, H, W, C]`.
        masks: `[D, H, W]`, whose bit k is set within region k.
        affine: `[4, 4]` from (slice, row, column), the patient's slice numbers and not positions
            in `images`, to mm to the right, front and top; None where the files tell none.
        ranges: of each channel the values of the files that became 0 and 255; empty where the
            files hold bytes.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    affine: NDArray[np.float64] | None = None
    ranges: tuple[tuple[float, float], ...] = ()


ALIASES = {"t1": "pre", "t1ce": "post"}  # modalities of BraTS, by the names that LGG has


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
    def bits(self) -> Mapping[int, int]:
        """The labels that the files of masks hold, to the regions that each is of, as bits."""

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

    def read(self, patient: Patient) -> Slices:
        """The patient's slices, and where they lie.

        Raises:
            SliceError: If any slice cannot be used; it names them all.
        """


def among(key: str, chosen: tuple[str, ...], known: tuple[str, ...]) -> tuple[int, ...]:
    """Where the chosen ones are among a reader's modalities or regions.

    Args:
        key: what they are called in the configuration, such as `data.modalities`.
        chosen: in the order wanted.
        known: the reader's.

    Raises:
        ValueError: one is unknown, or is chosen twice, or none is.
    """
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        raise ValueError(
            f"{key}={list(chosen)}; must be some of {', '.join(known)}, each once; "
            f"set {key}=[{','.join(known)}] or fewer"
        )
    return tuple(known.index(each) for each in chosen)
