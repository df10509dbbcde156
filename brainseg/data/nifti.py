"""NIfTI volumes as slices: opened, refused in one line, turned as they are shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip
from nibabel.arrayproxy import ArrayProxy
from numpy.typing import NDArray

LARGEST = 2**30  # voxels: more is a header that lies, or does not fit in memory
PLANES = ("sagittal", "coronal", "axial")

# of each plane the axes of its rows and columns, as they are shown: towards where they count
_SHOWN = {2: ((1, "P"), (0, "L")), 1: ((2, "I"), (0, "L")), 0: ((2, "I"), (1, "P"))}
_THICK = 2.0  # times the other voxel sides: the plane that was scanned


def open_nifti(path: Path, *, axes: int = 3) -> Any:
    """A NIfTI file as nibabel has it, its voxels not yet read.

    Args:
        path: .nii or .nii.gz.
        axes: 3; or 4, the last of which counts sequences.

    Raises:
        ValueError: it is none, has other axes, claims too many voxels, or lies on no grid.
    """
    try:
        image: Any = nib.load(path)
    except Exception as error:  # nibabel and gzip raise a dozen kinds
        raise ValueError(f"{path} is no NIfTI file that can be read ({_first(error)})") from error
    if not isinstance(image, nib.Nifti1Image):  # Nifti2Image is one
        raise ValueError(f"{path} is no NIfTI file but {type(image).__name__}; convert it")
    shape = image.shape
    if len(shape) < axes or min(shape) < 1 or set(shape[axes:]) - {1}:
        what = "one volume of 3 axes" if axes == 3 else "4 axes, of which the last counts sequences"
        raise ValueError(f"{path} is {'x'.join(map(str, shape))}; must be {what}")
    if int(np.prod(shape, dtype=object)) > LARGEST:
        raise ValueError(f"{path} claims {'x'.join(map(str, shape))} voxels; at most {LARGEST}")
    if len(shape) > axes:
        values = values_of(image, path).reshape(shape[:axes])
        image = image.__class__(values, image.affine, image.header)
    if not np.isfinite(image.affine).all() or np.isnan(_orientation(image)).any():
        raise ValueError(f"{path} has an affine that is no grid; set its sform or qform")
    return image


def volumes_in(path: Path) -> int:
    """How many volumes lie along a fourth axis, by the header; 1 where it is no NIfTI file."""
    try:
        image: Any = nib.load(path)
        return int(image.shape[3]) if len(image.shape) == 4 else 1
    except Exception:  # which opening it says
        return 1


def values_of(image: Any, path: Path) -> NDArray[np.generic]:
    """The voxels, in the axes of the file; `ValueError` where they are damaged or no numbers."""
    try:
        values: NDArray[np.generic] = _voxels(image.dataobj)
    except Exception as error:
        raise ValueError(f"{path} is damaged ({_first(error)}); copy it again") from error
    if values.dtype.fields is not None or np.iscomplexobj(values):
        raise ValueError(f"{path} holds {values.dtype}; must be one number a voxel")
    return values


def _voxels(data: Any) -> Any:
    """As nibabel reads them; out of a .gz in half the time, and its checksum is looked at."""
    if not isinstance(data, ArrayProxy) or not str(data.file_like).lower().endswith(".gz"):
        return np.asanyarray(data)
    spec = (data.shape, data.dtype, data.offset, data.slope, data.inter)
    with igzip.open(data.file_like) as file:  # type: ignore[no-untyped-call]
        found = np.asanyarray(ArrayProxy(file, spec))  # type: ignore[no-untyped-call]
        file.read(1)  # past the last one, where the checksum is
    return found


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def same_grid(one: Any, other: Any) -> bool:
    """Whether two images have the same voxels in the same places, to a thousandth of a mm."""
    return one.shape[:3] == other.shape[:3] and np.allclose(one.affine, other.affine, atol=1e-3)


def grid(image: Any) -> str:
    """Shape, voxel size and corner in words."""
    sides = "x".join(map(str, image.shape))
    zooms = "x".join(f"{each:.3g}" for each in image.header.get_zooms()[:3])
    corner = ", ".join(f"{each:.1f}" for each in image.affine[:3, 3])
    return f"{sides} of {zooms} mm from ({corner})"


def _orientation(image: Any) -> NDArray[np.float64]:
    """Of each axis of the array: left-right, back-front or foot-head (0, 1, 2), and direction."""
    found: NDArray[np.float64] = nib.io_orientation(image.affine)  # type: ignore[no-untyped-call]
    return found


def axes_of(image: Any) -> tuple[tuple[int, ...], tuple[int, ...], int]:
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


def affine_of(image: Any) -> NDArray[np.float64]:
    """[4, 4] from (slice, row, column), as `turn_of` turns them, to mm right, front and up."""
    order, flipped, _ = axes_of(image)
    turned = np.zeros((4, 4))
    turned[3, 3] = 1
    for k, axis in enumerate(order):
        turned[axis, k] = -1 if k in flipped else 1
        turned[axis, 3] = image.shape[axis] - 1 if k in flipped else 0
    found: NDArray[np.float64] = image.affine @ turned
    return found


def orientation_of(affine: NDArray[np.float64]) -> str:
    """Where slices, rows and columns run to, such as SPL: up, back and left."""
    return "".join(nib.aff2axcodes(affine))  # type: ignore[no-untyped-call]


def turn_of(image: Any) -> tuple[Callable[[NDArray[Any]], NDArray[Any]], str]:
    """What turns the file's axes into [D, H, W], rows and columns as they are shown; the plane."""
    order, flipped, plane = axes_of(image)

    def turn(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.flip(values.transpose(order), flipped))

    return turn, PLANES[plane]
