"""Patients whose sequences are NIfTI volumes on one grid, with a volume of labels beside them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainseg.data.grey import to_bytes
from brainseg.data.nifti import axes_of, grid, open_nifti, same_grid, turn_of, values_of
from brainseg.data.reader import Patient, SliceError

Pixels = NDArray[np.uint8]


def patient(
    name: str, institution: str, volumes: Sequence[Path], labels: Path
) -> tuple[Patient | None, list[str]]:
    """A patient as its headers have it, or None and what is wrong with them, a line each.

    Args:
        name: unique in the data set.
        institution: where it was scanned, or what else the split is stratified by.
        volumes: the file of each modality.
        labels: the file of the labels.
    """
    problems: list[str] = []
    images = []
    for path in (*dict.fromkeys(volumes), labels):
        try:
            images.append(open_nifti(path))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        return None, problems
    for path, image in zip((*dict.fromkeys(volumes), labels), images, strict=True):
        if not same_grid(image, images[0]):
            grids = f"{grid(image)}, not {grid(images[0])} as {volumes[0].name}"
            problems.append(f"{path} lies on another grid than its patient's images: {grids}")
    if problems:
        return None, problems
    depth = images[0].shape[axes_of(images[0])[0][0]]
    slices = tuple(range(depth))
    own = (volumes[0],) * depth, (labels,) * depth
    return Patient(name, institution, slices, *own, tuple(volumes)), []


def shape(patient: Patient) -> tuple[int, int] | None:
    """Height and width of its slices, by its header."""
    try:
        image = open_nifti(patient.images[0])
    except ValueError:
        return None
    _, height, width = axes_of(image)[0]
    return image.shape[height], image.shape[width]


def read(patient: Patient, labels: Mapping[int, int]) -> tuple[Pixels, Pixels]:
    """Images [D, H, W, C], each volume brought to bytes, and masks [D, H, W].

    Args:
        patient: as `patient` made it.
        labels: known labels, to the regions that they are of, as bits.

    Raises:
        SliceError: a volume is damaged, not finite or of one grey value, or there is a label that
            is not known.
    """
    problems: list[str] = []
    rows = list(patient.slices)
    read_in: dict[Path, Pixels] = {}
    for path in dict.fromkeys(patient.volumes):
        try:
            image = open_nifti(path)
            pixels, _ = to_bytes(values_of(image, path), str(path))
            read_in[path] = turn_of(image)[0](pixels)[rows]
        except ValueError as error:
            problems.append(str(error))
    mask: Pixels = np.empty(0, np.uint8)
    try:
        mask = _mask(patient.masks[0], labels)[rows]
    except ValueError as error:
        problems.append(str(error))
    if problems:
        raise SliceError({k: [] if k else problems for k in range(len(rows))})
    return np.stack([read_in[path] for path in patient.volumes], axis=-1), mask


def _mask(path: Path, labels: Mapping[int, int]) -> Pixels:
    image = open_nifti(path)
    values = values_of(image, path)
    found = np.unique(values)
    if unknown := [f"{value:g}" for value in found if value not in labels]:
        known = ", ".join(map(str, sorted(labels)))
        raise ValueError(f"{path} has labels {', '.join(unknown[:5])}; must be of {known}")
    table = np.zeros(max(labels) + 1, np.uint8)
    table[list(labels)] = list(labels.values())
    return np.asarray(turn_of(image)[0](table[values.astype(np.int64)]))


def region_bits(regions: Mapping[str, Collection[int]]) -> dict[int, int]:
    """Every known label, 0 among them, to the regions that it is of: bit k of the k-th region.

    Raises:
        ValueError: there are more than eight regions, or none, or a label is no whole number.
    """
    labels = sorted({0, *(label for each in regions.values() for label in each)})
    if not 1 <= len(regions) <= 8 or any(type(label) is not int or label < 0 for label in labels):
        raise ValueError(
            f"data.reader.regions={dict(regions)}; must be one to eight regions of whole numbers; "
            "write data.reader.regions={tumour: [1, 2]}"
        )
    return {
        label: sum(1 << k for k, each in enumerate(regions.values()) if label in each)
        for label in labels
    }
