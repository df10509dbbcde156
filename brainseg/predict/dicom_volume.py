"""A DICOM series as a volume on the grid that its headers give."""

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from brainseg.data.nifti import LARGEST
from brainseg.predict.dicom import Series, find_series, quiet, short
from brainseg.predict.marks import is_dicom

_UNEVEN = 0.05  # share by which two gaps may differ


def open_series(paths: Sequence[Path]) -> Any:
    """One series as a nibabel image, in its own order of axes, in the scanner's coordinates.

    Args:
        paths: its files; or a folder of them.

    Raises:
        ValueError: there is not exactly one series, or its slices make no even grid.
    """
    files = [f for p in paths for f in (sorted(p.iterdir()) if p.is_dir() else [p]) if f.is_file()]
    found = find_series(f for f in files if is_dicom(f) or not paths[0].is_dir())
    for path, why in found.damaged.items():
        raise ValueError(f"{path} is damaged: {why}; copy it again")
    if len(found.series) != 1:
        why = next(iter(found.left_out.values()), "no DICOM file")
        kinds = ", ".join(each.description or "without a description" for each in found.series)
        raise ValueError(f"{paths[0]} holds {len(found.series)} series, not one: {kinds or why}")
    (only,) = found.series
    _refuse_uneven(only)
    try:
        names = [str(path) for path in only.files]
        with quiet():
            image = SimpleITK.ReadImage(names if len(names) > 1 else names[0])
    except RuntimeError as error:
        raise ValueError(f"{paths[0]} is damaged ({short(error)}); copy it again") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(f"{paths[0]} is no volume of one number a voxel; give another series")
    direction = np.reshape(image.GetDirection(), (3, 3))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = direction * image.GetSpacing(), image.GetOrigin()
    affine = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine).astype(np.float32)  # LPS to RAS, as kept
    values: NDArray[Any] = SimpleITK.GetArrayFromImage(image).transpose()
    made_of = nib.Nifti1Image(values, affine.astype(np.float64))
    made_of.header.set_xyzt_units("mm")
    return made_of


def _refuse_uneven(only: Series) -> None:
    """Slices must make a grid: SimpleITK would space them evenly whatever their positions are."""
    path, count = only.files[0].parent, len(only.positions)
    if len(only.axes) > 1:
        raise ValueError(f"{path} has slices of {len(only.axes)} directions; give one series")
    if only.voxels > LARGEST:
        raise ValueError(f"{path} claims {only.voxels} voxels; at most {LARGEST}")
    if count < 3:
        return
    gaps = np.diff(only.positions)
    if gaps.min() < 1e-3:
        places = 1 + int((gaps >= 1e-3).sum())
        raise ValueError(
            f"{path} has {count} slices at {places} positions: several time points; "
            "give the files of one, in a folder of its own"
        )
    usual = float(np.median(gaps))
    if (abs(gaps - usual) > _UNEVEN * usual).any():
        where = only.files[int(abs(gaps - usual).argmax())].name
        lacks = "a slice is missing" if gaps.max() > 1.5 * usual else "its spacing changes"
        raise ValueError(
            f"{path} has gaps of {gaps.min():.2f} to {gaps.max():.2f} mm ({lacks} beside {where}); "
            "give a complete series"
        )


def unpacked(path: Path, folder: Path) -> list[Path]:
    """The files of a zip, unpacked into a folder.

    Raises:
        ValueError: it is no zip, or claims to be larger than any study.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (size := sum(each.file_size for each in archive.infolist())) > 4 * LARGEST:
                raise ValueError(f"{path} claims {size} bytes unpacked; at most {4 * LARGEST}")
            archive.extractall(folder)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no zip that can be read ({short(error)})") from error
    return sorted(each for each in folder.rglob("*") if each.is_file())


def temporary() -> tempfile.TemporaryDirectory[str]:
    """A folder for what a zip holds."""
    return tempfile.TemporaryDirectory(prefix="brainseg-dicom-")
