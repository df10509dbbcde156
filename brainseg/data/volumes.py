"""Patients whose sequences are NIfTI volumes on one grid, with a volume of labels beside them.

A file may hold one sequence, or all of them along its last axis.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainseg.data.grey import Grey, to_bytes
from brainseg.data.nifti import affine_of, axes_of, grid, open_nifti, same_grid, turn_of, values_of
from brainseg.data.reader import Patient, SliceError, Slices
from brainseg.data.regions import to_bits

Pixels = NDArray[np.uint8]


def patient(
    name: str, institution: str, volumes: Sequence[Path], labels: Path, *, axes: int = 3
) -> tuple[Patient | None, list[str]]:
    """A patient as its headers have it, or None and what is wrong with them, a line each.

    Args:
        name: unique in the data set.
        institution: where it was scanned, or what else the split is stratified by.
        volumes: the file of each modality; the same one for all where it has four axes.
        labels: the file of the labels.
        axes: of a file of images: 3, or 4.
    """
    problems: list[str] = []
    images: dict[Path, Any] = {}
    for path in (*dict.fromkeys(volumes), labels):
        try:
            images[path] = open_nifti(path, axes=3 if path == labels else axes)
        except ValueError as error:
            problems.append(str(error))
    first = images.get(volumes[0])
    for path, image in images.items() if first is not None else ():
        if not same_grid(image, first):
            grids = f"{grid(image)}, not {grid(first)} as {volumes[0].name}"
            problems.append(f"{path} lies on another grid than its patient's images: {grids}")
        if image.ndim == 4 and image.shape[3] != len(volumes):
            problems.append(f"{path} has {image.shape[3]} sequences, must have {len(volumes)}")
    if problems or first is None:
        return None, problems
    depth = first.shape[axes_of(first)[0][0]]
    files = (volumes[0],) * depth, (labels,) * depth
    return Patient(name, institution, tuple(range(depth)), *files, tuple(volumes)), []


def shape(patient: Patient) -> tuple[int, int] | None:
    """Height and width of its slices, by its header."""
    try:
        image = open_nifti(patient.masks[0])
    except ValueError:
        return None
    _, height, width = axes_of(image)[0]
    return image.shape[height], image.shape[width]


def read(
    patient: Patient,
    labels: Mapping[int, int],
    *,
    axes: int = 3,
    windows: Sequence[tuple[float, float]] = (),
) -> Slices:
    """Images, each sequence brought to bytes, masks, and where they lie.

    Args:
        patient: as `patient` made it.
        labels: known labels, to the regions that they are of, as bits.
        axes: of a file of images, as of `patient`.
        windows: of each sequence the values that become 0 and 255; none: its own.

    Raises:
        SliceError: a volume is damaged, not finite or of one grey value, or there is a label that
            is not known.
    """
    problems: list[str] = []
    rows = list(patient.slices)
    read_in: dict[Path, list[Grey]] = {}
    for k, path in enumerate(dict.fromkeys(patient.volumes)):
        try:
            read_in[path] = _sequences(path, axes, windows if axes == 4 else windows[k : k + 1])
        except ValueError as error:
            problems.append(str(error))
    mask: Pixels = np.empty(0, np.uint8)
    try:
        mask = _mask(patient.masks[0], labels)[rows]
    except ValueError as error:
        problems.append(str(error))
    if problems:
        raise SliceError({k: [] if k else problems for k in range(len(rows))})
    each = [read_in[path][k if axes == 4 else 0] for k, path in enumerate(patient.volumes)]
    images = np.stack([grey.bytes[rows] for grey in each], axis=-1)
    affine = affine_of(open_nifti(patient.masks[0]))
    return Slices(images, mask, affine, tuple((grey.low, grey.high) for grey in each))


def foreground(
    patient: Patient, labels: Mapping[int, int], *, axes: int = 3
) -> NDArray[np.float32]:
    """What the files measure at the voxels of any region, [n, sequences].

    Raises:
        ValueError: a volume is damaged, or a label is not known.
    """
    mask = _mask(patient.masks[0], labels)
    found = []
    for path in dict.fromkeys(patient.volumes):
        image = open_nifti(path, axes=axes)
        turn, _ = turn_of(image)
        found += [turn(part)[mask > 0] for part in _parts(values_of(image, path), axes)]
    return np.stack(found, axis=-1).astype(np.float32)


def _parts(values: NDArray[np.generic], axes: int) -> list[NDArray[np.generic]]:
    return list(np.moveaxis(values, 3, 0)) if axes == 4 else [values]


def _sequences(path: Path, axes: int, windows: Sequence[tuple[float, float]]) -> list[Grey]:
    """The sequences of a file, [D, H, W] each: one, or those along its last axis."""
    image = open_nifti(path, axes=axes)
    turn, _ = turn_of(image)
    parts = _parts(values_of(image, path), axes)
    each = [
        to_bytes(part, str(path), windows[k] if windows else None) for k, part in enumerate(parts)
    ]
    return [grey._replace(bytes=turn(grey.bytes)) for grey in each]


def _mask(path: Path, labels: Mapping[int, int]) -> Pixels:
    image = open_nifti(path)
    values = values_of(image, path)
    return np.asarray(turn_of(image)[0](to_bits(values, labels, path)))
