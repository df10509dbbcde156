"""Patients whose slices are pictures: numbered files, or the pages of one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainseg.data.grey import to_bytes
from brainseg.data.pages import header, pages
from brainseg.data.pictures import size
from brainseg.data.reader import Patient, SliceError, Slices
from brainseg.data.regions import to_bits

Pixels = NDArray[np.uint8]
Values = NDArray[Any]


def patient(
    name: str, numbers: Sequence[int], images: Sequence[Sequence[Path]], masks: Sequence[Path]
) -> tuple[Patient | None, list[str]]:
    """A patient of numbered slices, or of one stack whose pages are slices; what is wrong with it.

    Args:
        name: unique in the data set.
        numbers: of the slices.
        images: of each slice the files, whose channels are stacked.
        masks: of each slice.
    """
    if twice := [number for number, count in Counter(numbers).items() if count > 1]:
        wrong = f"patient {name} has slices {twice} twice; set data.reader.patient"
        return None, [f"{masks[0]}: {wrong}"]
    more = tuple(file for files in images for file in files)
    each = tuple(files[0] for files in images)
    if len(numbers) > 1:
        return Patient(name, "", tuple(numbers), each, tuple(masks), more), []
    try:
        count, *_ = header(masks[0])
    except ValueError as error:
        return None, [str(error)]
    slices = tuple(range(count)) if count > 1 else tuple(numbers)
    return Patient(name, "", slices, each * count, (masks[0],) * count, more), []


def is_stack(path: Path) -> bool:
    """Whether a picture has several pages; of one that is damaged reading says so."""
    try:
        return header(path)[0] > 1
    except ValueError:
        return False


def shape(patient: Patient) -> tuple[int, int] | None:
    """Height and width of most of its slices, by the headers of the masks."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in dict.fromkeys(patient.masks):
        with suppress(ValueError):  # which reading says
            _, height, width = header(path)
            sizes[height, width] += 1
    return sizes.most_common(1)[0][0] if sizes else None


def read(
    patient: Patient, modalities: Sequence[str], width: int, bits: Mapping[int, int]
) -> Slices:
    """Images, each channel brought to bytes, and masks.

    Args:
        patient: the same image and mask for every slice where these are its pages; its `volumes`
            are all files of images, `width` of each slice.
        modalities: names of the channels.
        width: files of a slice, whose channels are stacked.
        bits: known labels, to the regions that they are of.

    Raises:
        SliceError: a file is damaged, of another size or another number of channels, or a mask has
            another label. It names every such slice.
    """
    pairs = list(dict.fromkeys(zip(patient.images, patient.masks, strict=True)))
    alone = len(pairs) == 1  # whose pages are slices, where there are several
    problems: dict[int, list[str]] = {}
    parts: dict[int, tuple[Values, Pixels]] = {}
    for k, (image, mask) in enumerate(pairs):
        start = patient.volumes.index(image)
        try:
            parts[k] = _slice(patient.volumes[start : start + width], mask, modalities, bits)
            if len(parts[k][0]) > 1 and not alone:
                raise ValueError(f"{image} has several pages, and its patient several files")
        except ValueError as error:
            problems[k] = [str(error)]
    usual = Counter(values.shape[1:3] for values, _ in parts.values()).most_common(1)
    for k, (values, _) in parts.items():
        if values.shape[1:3] != usual[0][0]:
            sizes = f"{size(values.shape[1:])}, most of the patient {size(usual[0][0])}"
            problems[k] = [f"{pairs[k][0]}: {sizes}"]
    if problems:
        positions = range(len(patient.slices)) if alone else sorted(problems)
        raise SliceError({k: problems.get(k, []) for k in positions})
    volume = np.concatenate([values for values, _ in parts.values()])
    masks = np.concatenate([mask for _, mask in parts.values()])
    try:
        each = [to_bytes(volume[..., c], name) for c, name in enumerate(modalities)]
    except ValueError as error:
        line = f"{patient.images[0]}: {error}"
        raise SliceError({k: [] if k else [line] for k in range(len(patient.slices))}) from error
    rows = list(patient.slices) if alone and len(volume) > 1 else list(range(len(volume)))
    images = np.stack([grey.bytes for grey in each], axis=-1)[rows]
    ranges = () if volume.dtype == np.uint8 else tuple((grey.low, grey.high) for grey in each)
    return Slices(images, masks[rows], None, ranges)


def _slice(
    files: Sequence[Path], path: Path, modalities: Sequence[str], bits: Mapping[int, int]
) -> tuple[Values, Pixels]:
    """Pages of an image [P, H, W, C], and of its mask [P, H, W]."""
    parts, labels = [_whole(file) for file in files], _whole(path, labels=True)
    if labels.shape[-1] > 1:
        raise ValueError(f"{path} has {labels.shape[-1]} channels; must be one of labels")
    wanted = len(modalities) // len(files)
    for file, part in zip(files, parts, strict=True):
        if part.shape != (*labels.shape[:3], wanted):
            found, its = ("x".join(map(str, each.shape)) for each in (part, labels))
            raise ValueError(
                f"{file} is {found} and its mask {its} (pages, height, width, channels); must be "
                f"alike, with channels {', '.join(modalities)}"
            )
    return np.concatenate(parts, axis=-1), to_bits(labels[..., 0], bits, path)


def _whole(path: Path, *, labels: bool = False) -> Values:
    """All pages [P, H, W, C]; nothing may be left out of one."""
    notes: list[str] = []
    found = pages(path, notes, labels=labels)
    if notes:
        raise ValueError(f"{path}: {notes[0]}; save it without")
    if len({page.shape for page in found}) > 1:
        raise ValueError(f"{path}: its pages differ in size")
    return np.stack(found)
