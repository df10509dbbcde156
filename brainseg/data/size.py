"""The network's input size, where it is given as a share of the heads' resolution."""

import statistics
from collections.abc import Iterable

from brainseg.data.head import brain_box, foreground
from brainseg.data.preprocess import whole_box
from brainseg.data.preprocessing import LARGEST
from brainseg.data.reader import Patient, Reader, SliceError

MULTIPLE = 16  # pixels: four down-samplings without padding


def size_of(share: float, sides: Iterable[int | None]) -> int:
    """The smallest multiple of 16 pixels that keeps `share` of the median side's pixels.

    Args:
        share: above 0 to 1.
        sides: what `side` gave for each patient.
    """
    middle = statistics.median([each for each in sides if each] or [MULTIPLE])
    return min(-int(-share * middle // MULTIPLE) * MULTIPLE, LARGEST)


def side(reader: Reader, patient: Patient, *, crop: bool, head: str) -> int | None:
    """Side in pixels of the square that is cut out of a patient; None where no slice is sound."""
    try:
        images, *_ = reader.read(patient)
    except SliceError as error:
        sound = patient.without(error.problems)
        return side(reader, sound, crop=crop, head=head) if sound.slices else None
    box = brain_box(foreground(images, head)) if crop else whole_box(*images.shape[1:3])
    return box.side
