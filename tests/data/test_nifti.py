"""Volumes out of NIfTI files."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from brainseg.data.nifti import open_nifti, values_of


@pytest.mark.parametrize("kind", ["<i2", ">i2", "<f4", ">f8", "u1"])
@pytest.mark.parametrize("slope", [None, 0.5])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_voxels_are_those_that_nibabel_reads(
    tmp_path: Path, kind: str, slope: float | None, ending: str
) -> None:
    stored = np.random.default_rng(0).integers(0, 200, (5, 6, 7)).astype(kind)
    image = nib.Nifti1Image(stored, np.eye(4))
    image.header.set_data_dtype(kind)
    image.header.set_slope_inter(slope, slope and -3)
    path = tmp_path / f"scan.{ending}"
    image.to_filename(path)
    expected = np.asanyarray(nib.load(path).dataobj)  # type: ignore[attr-defined]
    found = values_of(open_nifti(path), path)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kept", [0.5, -8, -4])
def test_a_packed_file_that_was_cut_is_damaged(tmp_path: Path, kept: float) -> None:
    path = _packed(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept > 0 else int(kept)])
    with pytest.raises(ValueError, match=r"scan.nii.gz is damaged \(.+\); copy it again"):
        values_of(open_nifti(path), path)


def test_a_packed_file_whose_checksum_is_another_is_damaged(tmp_path: Path) -> None:
    path = _packed(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[-8] ^= 1  # where gzip keeps it; nibabel alone stops at the last voxel
    path.write_bytes(whole)
    np.asanyarray(nib.load(path).dataobj)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"scan.nii.gz is damaged \(CRC check failed"):
        values_of(open_nifti(path), path)


def _packed(folder: Path) -> Path:
    path = folder / "scan.nii.gz"
    stored = np.random.default_rng(0).integers(0, 200, (64, 64, 64)).astype(np.int16)
    nib.save(nib.Nifti1Image(stored, np.eye(4)), path)
    return path
