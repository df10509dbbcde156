"""Volumes: the slices that a network sees, and a mask on exactly the input's grid."""

from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from brainseg.predict.nifti import read
from tests.predict.conftest import head, write_nifti


def oriented(path: Path, axes: tuple[int, ...], signs: tuple[int, ...], thick: int = 2) -> Any:
    """A volume whose values say where a voxel is: 100 from foot to head, 10 back, 1 left."""
    shape, affine = [0, 0, 0], np.zeros((4, 4))
    sides = {0: 6, 1: 7, 2: 4}  # of right-left, back-front, foot-head
    for k, axis in enumerate(axes):
        shape[k] = sides[axis]
        affine[axis, k] = signs[k] * (5.0 if axis == thick else 1.0)
    affine[3, 3] = 1
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    world = grid @ affine[:3, :3].T
    world -= world.reshape(-1, 3).min(0)
    world[..., thick] /= 5.0
    left, back = sides[0] - 1 - world[..., 0], sides[1] - 1 - world[..., 1]
    image = nib.Nifti1Image((100 * world[..., 2] + 10 * back + left).astype(np.int16), affine)
    nib.save(image, path)
    return image


@pytest.mark.parametrize("axes", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)), ids=str)
def test_slices_run_from_foot_to_head_rows_back_and_columns_left_and_a_mask_returns(
    axes: tuple[int, ...], signs: tuple[int, ...], tmp_path: Path
) -> None:
    image = oriented(tmp_path / "scan.nii.gz", axes, signs)
    scan = read("scan", {"flair": [tmp_path / "scan.nii.gz"]})
    seen = scan.sequences["flair"].astype(int)
    assert seen.shape == (4, 7, 6)
    assert (np.diff(seen[:, 0, 0]) > 0).all()
    assert (np.diff(seen.reshape(4, -1).astype(int), axis=1) >= 0).all()
    written = scan.write(seen > 100, tmp_path / "scan", "mask")
    mask: Any = nib.load(written[0])
    raw = np.asarray(image.dataobj).astype(float)
    expected = np.rint(np.minimum(raw, np.percentile(raw, 99.9)) * 255 / np.percentile(raw, 99.9))
    np.testing.assert_array_equal(np.asarray(mask.dataobj), (expected > 100).astype(np.uint8))
    np.testing.assert_array_equal(mask.affine, image.affine)


@pytest.mark.parametrize(("thick", "plane"), [(0, "sagittal"), (1, "coronal")])
def test_the_plane_that_was_scanned_is_taken_with_a_word(
    thick: int, plane: str, tmp_path: Path
) -> None:
    oriented(tmp_path / "scan.nii", (0, 1, 2), (1, 1, 1), thick=thick)
    scan = read("scan", {"flair": [tmp_path / "scan.nii"]})
    assert len(scan.sequences["flair"]) == (6, 7)[thick]
    assert f"{plane} slices" in scan.notes[0]


@pytest.mark.parametrize(
    ("kind", "dtype", "swap"),
    [
        (nib.Nifti1Image, np.int16, False),
        (nib.Nifti1Image, np.uint8, False),
        (nib.Nifti1Image, np.float32, True),
        (nib.Nifti2Image, np.int32, False),
    ],
)
def test_the_mask_keeps_shape_affine_and_codes_of_any_header(
    kind: Any, dtype: Any, swap: bool, tmp_path: Path
) -> None:
    tilted = np.array([[-0.9, 0.1, 0, 5], [0.1, -0.88, -1, 7], [0, 0.2, 4.9, -3], [0, 0, 0, 1.0]])
    values = (head() / 4).astype(dtype).transpose(2, 1, 0)[..., None]  # 4D of one volume
    image = kind(values, tilted)
    image.set_sform(tilted, 2)
    image.set_qform(np.diag([-1, -1, 5, 1.0]), 3)
    image.header.set_slope_inter(2.0, 10.0)
    if swap:
        image = kind(values, None, image.header.as_byteswapped())
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read("scan", {"flair": [tmp_path / "scan.nii.gz"]})
    mask: Any = nib.load(scan.write(scan.sequences["flair"] > 99, tmp_path / "scan", "mask")[0])
    before: Any = nib.load(tmp_path / "scan.nii.gz")
    assert mask.shape == (36, 40, 5)
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.get_sform(), before.get_sform())
    np.testing.assert_array_equal(mask.get_qform(), before.get_qform())
    assert (mask.header["qform_code"], mask.header["sform_code"]) == (3, 2)
    assert set(np.unique(np.asarray(mask.dataobj))) == {0, 1}
    if dtype == np.uint8:
        assert scan.sequences["flair"].dtype == np.uint8


def test_another_grid_is_refused_with_both_or_resampled(tmp_path: Path) -> None:
    flair = write_nifti(tmp_path / "a_flair.nii.gz", head())
    other = write_nifti(tmp_path / "a_t1.nii.gz", head(4))
    with pytest.raises(
        ValueError, match=r"36x40x4 of 1x1x5 mm .* 36x40x5 of 1x1x5 mm .*--resample"
    ):
        read("a", {"flair": [flair], "pre": [other]})
    scan = read("a", {"flair": [flair], "pre": [other]}, resample=True)
    assert scan.sequences["pre"].shape == scan.sequences["flair"].shape
    assert "resampled onto FLAIR's grid" in scan.notes[0]


def test_millilitres_are_those_of_the_voxels(tmp_path: Path) -> None:
    scan = read("a", {"flair": [write_nifti(tmp_path / "a.nii.gz", head())]})
    assert scan.spacing == pytest.approx((5, 1, 1))


def damaged(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.nii.gz"
    if kind == "text":
        path.write_text("no volume at all\n" * 40)
    elif kind == "truncated":
        whole = write_nifti(folder / "whole.nii.gz", head())
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        whole.unlink()
    elif kind == "nan":
        values = head()
        values[0, 0, 0] = np.nan
        write_nifti(path, values)
    elif kind == "zero":
        write_nifti(path, np.zeros((5, 40, 36)))
    elif kind == "huge":
        header = nib.Nifti1Header()
        header.set_data_shape((30000, 30000, 2))
        header["vox_offset"] = 352
        path = folder / "huge.nii"
        path.write_bytes(header.binaryblock + b"\0\0\0\0" + b"\0" * 64)
    elif kind == "two":
        nib.save(nib.Nifti1Image(np.ones((8, 8, 8, 2), np.uint8), np.eye(4)), path)
    elif kind == "colour":
        rgb = np.zeros((40, 40, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
        nib.save(nib.Nifti1Image(rgb, np.eye(4)), path)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "is no NIfTI file"),
        ("truncated", "(is damaged|is no NIfTI file)"),
        ("nan", "has 1 values that are not finite"),
        ("zero", "has one grey value"),
        ("huge", "claims 30000x30000x2 voxels"),
        ("two", "has 2 volumes along its last axis; say which sequences they are"),
        ("colour", "must be one number a voxel"),
    ],
)
def test_what_is_no_volume_is_refused_in_one_line(kind: str, message: str, tmp_path: Path) -> None:
    path = damaged(tmp_path, kind)
    with pytest.raises(ValueError, match=message) as refused:
        read("a", {"flair": [path]})
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
