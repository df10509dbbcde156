"""Sequences by name: which the weights know is used, which they do not is said."""

from pathlib import Path

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
