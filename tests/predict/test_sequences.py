"""Sequences by name: which the weights know is used, which they do not is said."""

from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import pytest

from brainseg.predict.cases import Finder
from tests.predict.conftest import head, write_nifti

KNOWN = ("flair", "pre", "post", "t2")


def brats(folder: Path) -> Path:
    folder.mkdir()
    for k, name in enumerate(("flair", "t1", "t1ce", "t2")):
        write_nifti(folder / f"x_{name}.nii.gz", head() + k)
    return folder


def test_t2_is_used_by_weights_that_know_it_and_left_out_by_others(tmp_path: Path) -> None:
    folder = brats(tmp_path / "x")
    (case,), left_out = Finder(known=KNOWN).find([folder])
    assert set(case.read().sequences) == set(KNOWN)
    assert left_out == {}
    (case,), left_out = Finder().find([folder])
    assert set(case.read().sequences) == set(KNOWN) - {"t2"}
    assert left_out == {str(folder / "x_t2.nii.gz"): "T2, which these weights do not know"}


def test_a_missing_t2_is_flairs_copy(tmp_path: Path) -> None:
    folder = brats(tmp_path / "x")
    (folder / "x_t2.nii.gz").unlink()
    (case,), _ = Finder(known=KNOWN).find([folder])
    scan = case.read()
    assert scan.missing(KNOWN) == ["t2"]
    assert (scan.volume(KNOWN)[..., 3] == scan.sequences["flair"]).all()


def test_weights_of_other_organs_know_files_by_the_names_of_their_channels(tmp_path: Path) -> None:
    for k, name in enumerate(("adc", "t2")):
        write_nifti(tmp_path / f"p_{name}.nii.gz", head() + k)
    finder = Finder(known=("t2", "adc"))
    (case,), left_out = finder.find([tmp_path])
    scan = case.read().known_as(finder.known)
    assert (case.name, left_out, scan.main) == ("p", {}, "t2")
    assert [Path(scan.files[name][0]).name for name in finder.known] == [
        "p_t2.nii.gz",
        "p_adc.nii.gz",
    ]
    (tmp_path / "p_adc.nii.gz").unlink()
    (case,), _ = finder.find([tmp_path])
    with pytest.raises(
        ValueError, match=r"p_t2.nii.gz is t2\); the weights know t2, adc: give all"
    ):
        case.read()


@pytest.mark.parametrize("name", ["h.nii.gz", "h_mri.nii.gz", "h_t1.nii.gz", "h_t2.nii.gz"])
def test_a_lone_volume_is_the_only_channel_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    finder = Finder(known=("mri",))
    scan = finder.alone(write_nifti(tmp_path / name, head())).read().known_as(finder.known)
    assert (list(scan.sequences), scan.main, scan.missing(["mri"])) == (["mri"], "mri", [])


def test_a_file_of_several_volumes_is_what_order_says(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", head())
    first: Any = nib.load(path)
    parts = [np.asarray(first.dataobj) + 7 * k for k in range(3)]
    nib.save(nib.Nifti1Image(np.stack(parts, axis=-1), first.affine), tmp_path / "b.nii.gz")
    with pytest.raises(ValueError, match="has 3 volumes along its last axis; say which"):
        Finder().alone(tmp_path / "b.nii.gz").read()
    scan = Finder(order=("post", "flair", "pre")).alone(tmp_path / "b.nii.gz").read()
    alone = Finder().alone(path).read()
    assert set(scan.sequences) == {"post", "flair", "pre"}
    assert scan.missing(["t2", "pre"]) == ["t2"]
    mask = alone.first > 100
    (written,) = scan.write(mask, tmp_path / "b", "mask")
    (expected,) = alone.write(mask, tmp_path / "a", "mask")
    ours, theirs = (cast(Any, nib.load(each)) for each in (written, expected))
    assert (ours.shape, ours.affine.tolist()) == (theirs.shape, theirs.affine.tolist())
    assert np.array_equal(ours.dataobj, theirs.dataobj)
