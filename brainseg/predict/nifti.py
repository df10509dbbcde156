"""Volumes, NIfTI or DICOM: slices as they were scanned, and a mask on exactly their grid."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from brainseg.data.grey import to_bytes
from brainseg.data.nifti import (
    affine_of,
    axes_of,
    grid,
    open_nifti,
    orientation_of,
    same_grid,
    turn_of,
    values_of,
    volumes_in,
)
from brainseg.predict.marks import is_dicom
from brainseg.predict.scan import FLAIR, Scan


def read(
    name: str,
    files: Mapping[str, Sequence[Path]],
    *,
    main: str = FLAIR,
    order: Sequence[str] = (),
    resample: bool = False,
    windows: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> Scan:
    """One case of NIfTI files or DICOM series, a sequence each.

    Args:
        name: of the case.
        files: sequence to its file, folder, or files of a DICOM series; with `main`.
        main: the sequence on whose grid the mask is.
        order: the sequences along the last axis of a file of 4 axes.
        resample: bring sequences on other grids onto that of `main` (linear), instead of refusing
            them.
        windows: of sequences, the values that become 0 and 255; others have their own.

    Raises:
        ValueError: a file is no volume, is empty or damaged, or lies on another grid.
    """
    images: dict[str, Any] = {}
    for sequence, paths in files.items():
        images |= _open(sequence, paths, order if len(files) == 1 else ())
    if main not in images:
        raise ValueError(f"{name} has no {main.upper()} but {', '.join(images)}; give it too")
    files = {sequence: files.get(sequence, next(iter(files.values()))) for sequence in images}
    flair = images[main]
    notes: list[str] = []
    for sequence in [each for each in images if each != main]:
        if not same_grid(images[sequence], flair):
            grids = f"{sequence} {grid(images[sequence])}, {main} {grid(flair)}"
            if not resample:
                raise ValueError(
                    f"{files[sequence][0]} lies on another grid than {main.upper()} ({grids}); "
                    "give --resample to bring it there, or leave it out"
                )
            notes.append(f"resampled onto {main.upper()}'s grid: {grids}")
            from nibabel.processing import resample_from_to

            images[sequence] = resample_from_to(images[sequence], flair, order=1)  # type: ignore[no-untyped-call]
    turn, plane = turn_of(flair)
    if plane != "axial":
        notes.append(f"{plane} slices, as its voxels say; the networks here know axial ones")

    def pixels(sequence: str) -> tuple[Any, str]:
        path = files[sequence][0]
        grey = to_bytes(values_of(images[sequence], path), str(path), windows.get(sequence))
        return turn(grey.bytes), grey.note.replace(str(path), path.name)

    with ThreadPoolExecutor() as pool:  # unpacking lets other threads run
        read_in = dict(zip(images, pool.map(pixels, images), strict=True))
    sequences = {sequence: found for sequence, (found, _) in read_in.items()}
    notes += [note for _, note in read_in.values() if note]
    d, h, w = (float(flair.header.get_zooms()[axis]) for axis in axes_of(flair)[0])
    back, orientation = partial(_back, flair), orientation_of(affine_of(flair))
    write, size = partial(_write, flair), (d, h, w)
    return Scan(name, sequences, files, write, back, size, orientation, notes, main)


def _open(sequence: str, paths: Sequence[Path], order: Sequence[str]) -> dict[str, Any]:
    """The image of a sequence, or those of all in `order` that a file of 4 axes holds."""
    path = paths[0]
    if len(paths) > 1 or path.is_dir() or is_dicom(path):
        from brainseg.predict.dicom_volume import (
            open_series,
        )  # SimpleITK, a second: for DICOM alone

        return {sequence: open_series(paths)}
    count = volumes_in(path)
    if count == 1:
        return {sequence: open_nifti(path)}
    if count != len(order):
        raise ValueError(
            f"{path} has {count} volumes along its last axis; say which sequences they are, as "
            "--order flair pre post t2"
        )
    image = open_nifti(path, axes=4)
    parts = np.moveaxis(values_of(image, path), 3, 0)
    return {
        each: image.__class__(np.ascontiguousarray(part), image.affine, image.header)
        for each, part in zip(order, parts, strict=True)
    }


def _back(image: Any, values: NDArray[Any]) -> NDArray[Any]:
    """[D, H, W] in the axes of the file."""
    order, flipped, _ = axes_of(image)
    return np.flip(values, flipped).transpose(np.argsort(order))


def _write(image: Any, values: NDArray[Any], stem: Path, what: str) -> list[Path]:
    """uint8 for masks and labels, else float32; shape, affine, qform and sform of the input."""
    dtype = np.uint8 if values.dtype in (np.bool_, np.uint8) else np.float32
    header = image.header.copy()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    path = stem.with_name(f"{stem.name}_{what}.nii.gz")
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
