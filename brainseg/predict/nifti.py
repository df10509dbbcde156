"""Volumes, NIfTI or DICOM: slices as they were scanned, and a mask on exactly their grid."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from brainseg.predict.grey import to_bytes
from brainseg.predict.marks import is_dicom
from brainseg.predict.scan import FLAIR, LARGEST, Scan

# of each plane the axes of its rows and columns, as they are shown: towards where they count
_SHOWN = {2: ((1, "P"), (0, "L")), 1: ((2, "I"), (0, "L")), 0: ((2, "I"), (1, "P"))}
_PLANES = ("sagittal", "coronal", "axial")
_THICK = 2.0  # times the other voxel sides: the plane that was scanned


def read(name: str, files: Mapping[str, Sequence[Path]], *, resample: bool = False) -> Scan:
    """One case of NIfTI files or DICOM series, a sequence each.

    Args:
        name: of the case.
        files: sequence to its file, folder, or files of a DICOM series; with `flair`.
        resample: bring sequences on other grids onto FLAIR's (linear), instead of refusing them.

    Raises:
        ValueError: a file is no volume, is empty or damaged, or lies on another grid.
    """
    images = {sequence: _open(paths) for sequence, paths in files.items()}
    flair = images[FLAIR]
    notes: list[str] = []
    for sequence in [each for each in images if each != FLAIR]:
        if not _same_grid(images[sequence], flair):
            grids = f"{sequence} {_grid(images[sequence])}, flair {_grid(flair)}"
            if not resample:
                raise ValueError(
                    f"{files[sequence][0]} lies on another grid than FLAIR ({grids}); give "
                    "--resample to bring it there, or leave it out"
                )
            notes.append(f"resampled onto FLAIR's grid: {grids}")
            from nibabel.processing import resample_from_to

            images[sequence] = resample_from_to(images[sequence], flair, order=1)  # type: ignore[no-untyped-call]
    turn, plane = _turn(flair)
    if plane != "axial":
        notes.append(f"{plane} slices, as its voxels say; the networks here know axial ones")

    def pixels(sequence: str) -> tuple[Any, str]:
        path = files[sequence][0]
        found, note = to_bytes(_values(images[sequence], path), str(path))
        return turn(found), note.replace(str(path), path.name)

    with ThreadPoolExecutor() as pool:  # unpacking lets other threads run
        read_in = dict(zip(images, pool.map(pixels, images), strict=True))
    sequences = {sequence: found for sequence, (found, _) in read_in.items()}
    notes += [note for _, note in read_in.values() if note]
    d, h, w = (float(flair.header.get_zooms()[axis]) for axis in _axes(flair)[0])
    back = partial(_back, flair)
    return Scan(name, sequences, dict(files), partial(_write, flair), back, (d, h, w), notes)


def _open(paths: Sequence[Path]) -> Any:
    path = paths[0]
    if len(paths) > 1 or path.is_dir() or is_dicom(path):
        from brainseg.predict.dicom_volume import (
            open_series,
        )  # SimpleITK, a second: for DICOM alone

        return open_series(paths)
    try:
        image: Any = nib.load(path)
    except Exception as error:  # nibabel and gzip raise a dozen kinds
        raise ValueError(f"{path} is no NIfTI file that can be read ({_first(error)})") from error
    if not isinstance(image, nib.Nifti1Image):  # Nifti2Image is one
        raise ValueError(f"{path} is no NIfTI file but {type(image).__name__}; convert it")
    shape = image.shape
    if len(shape) < 3 or min(shape) < 1 or set(shape[3:]) - {1}:
        raise ValueError(f"{path} is {'x'.join(map(str, shape))}; must be one volume of 3 axes")
    if int(np.prod(shape, dtype=object)) > LARGEST:
        raise ValueError(f"{path} claims {'x'.join(map(str, shape))} voxels; at most {LARGEST}")
    if len(shape) > 3:
        values = _values(image, path).reshape(shape[:3])
        image = image.__class__(values, image.affine, image.header)
    if not np.isfinite(image.affine).all() or np.isnan(_orientation(image)).any():
        raise ValueError(f"{path} has an affine that is no grid; set its sform or qform")
    return image


def _values(image: Any, path: Path) -> NDArray[np.generic]:
    try:
        values: NDArray[np.generic] = np.asanyarray(image.dataobj)
    except Exception as error:
        raise ValueError(f"{path} is damaged ({_first(error)}); copy it again") from error
    if values.dtype.fields is not None or np.iscomplexobj(values):
        raise ValueError(f"{path} holds {values.dtype}; must be one number a voxel")
    return values


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _same_grid(one: Any, other: Any) -> bool:
    return one.shape == other.shape and np.allclose(one.affine, other.affine, atol=1e-3)


def _grid(image: Any) -> str:
    sides = "x".join(map(str, image.shape))
    zooms = "x".join(f"{each:.3g}" for each in image.header.get_zooms()[:3])
    corner = ", ".join(f"{each:.1f}" for each in image.affine[:3, 3])
    return f"{sides} of {zooms} mm from ({corner})"


def _orientation(image: Any) -> NDArray[np.float64]:
    """Of each axis of the array: left-right, back-front or foot-head (0, 1, 2), and direction."""
    found: NDArray[np.float64] = nib.io_orientation(image.affine)  # type: ignore[no-untyped-call]
    return found


def _axes(image: Any) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Array axes of (slice, row, column), which of these run the other way, and the plane."""
    found = _orientation(image)
    axes, directions = np.argsort(found[:, 0]), found[:, 1]
    zooms = image.header.get_zooms()
    thickest = max(range(3), key=lambda k: zooms[axes[k]])
    rest = max(zooms[axes[k]] for k in range(3) if k != thickest)
    plane = thickest if zooms[axes[thickest]] >= _THICK * rest else 2
    (row, towards_row), (column, towards_column) = _SHOWN[plane]
    order = (int(axes[plane]), int(axes[row]), int(axes[column]))
    signs = [directions[axis] for axis in order]
    # +1 runs towards R, A, S; slices from foot to head, right to left, back to front
    wanted = (1, -1 if towards_row in "PI" else 1, -1 if towards_column in "LP" else 1)
    return order, tuple(k for k in range(3) if signs[k] != wanted[k]), plane


def _turn(image: Any) -> tuple[Any, str]:
    order, flipped, plane = _axes(image)

    def turn(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.flip(values.transpose(order), flipped))

    return turn, _PLANES[plane]


def _back(image: Any, values: NDArray[Any]) -> NDArray[Any]:
    """[D, H, W] in the axes of the file."""
    order, flipped, _ = _axes(image)
    return np.flip(values, flipped).transpose(np.argsort(order))


def _write(image: Any, values: NDArray[Any], stem: Path) -> list[Path]:
    """uint8 for a mask, float32 for probabilities; shape, affine, qform and sform of the input."""
    dtype = np.uint8 if values.dtype == np.bool_ else np.float32
    header = image.header.copy()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    path = stem.with_name(f"{stem.name}.nii.gz")
    partial_path = path.with_name(f".{path.name}.part.nii.gz")
    nib.save(image.__class__(_back(image, values).astype(dtype), None, header), partial_path)
    written: Any = nib.load(partial_path)
    same = written.shape == image.shape and np.array_equal(written.affine, image.affine)
    codes = ("qform_code", "sform_code")
    if not same or any(written.header[each] != image.header[each] for each in codes):
        partial_path.unlink()
        raise ValueError(f"{path} would not lie on the grid of its scan; report this as a bug")
    partial_path.replace(path)
    return [path]
