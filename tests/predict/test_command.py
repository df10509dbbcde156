"""The command: cases by name, one that fails costs only itself, nothing is lost or silent."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brainseg.config import instantiate
from brainseg.predict.__main__ import main
from brainseg.runs.folder import RunFolder
from tests.conftest import tiny_config
from tests.predict.conftest import Predict, head, write_nifti


def report(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return read


def test_the_masks_of_a_patients_slices_are_those_that_the_run_was_scored_by(
    run: Path, predict: Predict, tmp_path: Path
) -> None:
    saved = np.load(run / "predictions.npz")
    scans = instantiate(tiny_config()["data"])
    scans.prepare()
    patient = str(saved["patient"][0])
    found = scans.reader.find(None).patients
    folder = next(each for each in found if each.name == patient).images[0].parent
    code, out, err = predict(folder, "--device", "cpu")
    assert code == 0, out + err
    rows = np.flatnonzero(saved["patient"] == patient)
    expected = np.unpackbits(saved["masks"][rows], axis=-1).reshape(len(rows), 32, 32)
    (case,) = report(tmp_path / "masks")["cases"]
    assert len(case["written"]) == len(rows)
    masks = np.stack([np.asarray(Image.open(path)) for path in case["written"]])
    np.testing.assert_array_equal(masks, expected * 255)
    assert expected.any()
    table = pd.read_csv(run / "patients.csv").query("checkpoint == 'best' and split == 'test'")
    assert case["pixels"] == table.set_index("patient")["predicted"][patient]
    names = [Path(path).stem for path in case["written"]]
    assert names == [f"{patient}_{k}_mask" for k in scans.index["slice"][rows_of(scans, patient)]]


def rows_of(scans: Any, patient: str) -> np.ndarray:
    found: np.ndarray = np.flatnonzero(scans.index["patient"] == patient)
    return found


@pytest.mark.parametrize(
    "names",
    [
        ("_t1.nii.gz", "_flair.nii.gz", "_t1ce.nii.gz", "_t2.nii.gz"),
        ("-t1n.nii.gz", "-t2f.nii.gz", "-t1c.nii.gz", "-t2w.nii.gz"),
        ("_T1w.nii", "_FLAIR.nii", "_ce-gd_T1w.nii", "_T2w.nii"),
        ("_pre.nii.gz", "_flair.nii.gz", "_post.nii.gz", "_seg.nii.gz"),
    ],
    ids=["BraTS 2020", "BraTS 2023", "BIDS", "ours"],
)
def test_sequences_are_told_by_name_in_every_dialect(
    names: tuple[str, ...], predict: Predict, tmp_path: Path
) -> None:
    folder = tmp_path / "scans" / "sub-1"
    folder.mkdir(parents=True)
    for k, name in enumerate(names):
        write_nifti(folder / f"sub-1{name}", head() + k)
    code, out, _ = predict(tmp_path / "scans")
    assert code == 0, out
    (case,) = report(tmp_path / "masks")["cases"]
    assert case["name"] == "sub-1"
    found = {name: Path(files[0]).name for name, files in case["sequences"].items()}
    assert found == dict(zip(("pre", "flair", "post"), (f"sub-1{n}" for n in names), strict=False))
    assert f"leaves out {folder}/sub-1{names[3]}" in out
    for name, file in found.items():
        assert f"{name} = {file}" in out


def test_flags_name_sequences_and_what_is_missing_is_said(predict: Predict, tmp_path: Path) -> None:
    flair = write_nifti(tmp_path / "one.nii.gz", head())
    code, out, _ = predict("--flair", flair, "--preview", "--probabilities")
    assert code == 0, out
    assert "FLAIR stands in for pre, post" in out
    (case,) = report(tmp_path / "masks")["cases"]
    mask: Any = nib.load(tmp_path / "masks" / "one_mask.nii.gz")
    probs: Any = nib.load(tmp_path / "masks" / "one_probabilities.nii.gz")
    values = np.asarray(probs.dataobj)
    assert (values.dtype, values.shape) == (np.float32, (36, 40, 5))
    np.testing.assert_array_equal(np.asarray(mask.dataobj), values > 0.5)
    assert case["ml"] == pytest.approx(case["pixels"] * 0.005)
    assert (tmp_path / "masks" / "one_preview.png").stat().st_size > 1000


def test_a_case_that_fails_costs_only_itself(predict: Predict, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    write_nifti(scans / "good.nii.gz", head())
    (scans / "text.nii.gz").write_text("no volume")
    write_nifti(scans / "bare_t1.nii.gz", head())
    Image.new("L", (8, 8), 3).save(scans / "tiny.png")
    (scans / "notes.txt").write_text("not a scan")
    code, out, err = predict(scans)
    assert code == 1
    assert "Traceback" not in out + err
    failed = {c["name"]: c["failed"] for c in report(tmp_path / "masks")["cases"] if "failed" in c}
    assert set(failed) == {"text", "bare", "tiny"}
    assert "has no FLAIR" in failed["bare"]
    assert all(f"{name}: FAILED: {why}" in out for name, why in failed.items())
    assert f"leaves out {scans / 'notes.txt'}: no scan, by its name" in out
    assert "1 segmented, 3 failed" in out
    assert (tmp_path / "masks" / "good_mask.nii.gz").is_file()


def test_resume_leaves_what_is_done_and_segments_what_has_changed(
    predict: Predict, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in "abc":
        write_nifti(scans / f"{name}.nii.gz", head())
    assert predict(scans)[0] == 0
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "masks").glob("*.nii.gz")}
    write_nifti(scans / "b.nii.gz", head() + 5)
    (tmp_path / "masks" / "c_mask.nii.gz").unlink()
    code, out, _ = predict(scans, "--resume")
    assert code == 0
    assert "2 segmented, 1 done before" in out
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "masks").glob("*.nii.gz")}
    assert after["a_mask.nii.gz"] == before["a_mask.nii.gz"]
    assert after["b_mask.nii.gz"] != before["b_mask.nii.gz"]
    code, out, _ = predict(scans, "--resume", "--threshold", "0.4")
    assert "3 segmented" in out
    assert len(report(tmp_path / "masks")["cases"]) == 3


def test_a_folder_that_is_not_empty_is_kept(predict: Predict, tmp_path: Path) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", head())
    (tmp_path / "masks").mkdir()
    mine = tmp_path / "masks" / "mine.txt"
    mine.write_text("mine")
    code, _, err = predict(scan)
    assert (code, err.count("\n")) == (2, 1)
    assert "--out masks is not empty, and not of this command; give another" in err
    assert predict(scan, "--force")[0] == predict(scan, "--resume")[0] == 2
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["mine.txt"]
    mine.unlink()
    assert predict(scan)[0] == 0
    assert "--resume to go on" in predict(scan)[2]
    assert predict(scan, "--force")[0] == 0


def test_the_masks_that_scans_have_already_are_never_replaced(
    predict: Predict, tmp_path: Path
) -> None:
    truth = tmp_path / "scans" / "a_mask.png"
    truth.parent.mkdir()
    Image.fromarray((head(1)[0] / 4).astype(np.uint8)).save(tmp_path / "scans" / "a.png")
    truth.write_bytes(b"by hand")
    for option in ("--force", "--resume"):
        assert predict(tmp_path / "scans", "--out", tmp_path / "scans", option)[0] == 2
    assert truth.read_bytes() == b"by hand"


def test_an_option_more_is_not_passed_over_by_resume(predict: Predict, tmp_path: Path) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", head())
    assert predict(scan)[0] == 0
    assert "1 segmented" in predict(scan, "--resume", "--preview")[1]
    assert (tmp_path / "masks" / "scan_preview.png").is_file()


def test_a_slice_that_is_there_twice_is_left_out_with_a_word(
    predict: Predict, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, page in zip(("a_1.png", "a_2.png", "a_02.jpg"), head(3), strict=True):
        Image.fromarray((page / 4).astype(np.uint8)).save(scans / name)
    code, out, _ = predict(scans)
    assert code == 0
    assert f"leaves out {scans / 'a_2.png'}: {scans / 'a_02.jpg'} is slice 2 of a already" in out
    assert len(report(tmp_path / "masks")["cases"][0]["written"]) == 2


@pytest.mark.parametrize("again", ["--force", "--resume"])
def test_nothing_of_an_earlier_call_is_left_beside_another_mask(
    predict: Predict, tmp_path: Path, again: str
) -> None:
    scan, masks = write_nifti(tmp_path / "scan.nii.gz", head()), tmp_path / "masks"
    assert predict(scan, "--probabilities", "--preview", "--statistics")[0] == 0
    rows = (masks / "statistics.csv").read_text()
    code, out, _ = predict(scan, again, "--threshold", "0.999", "--preview")
    assert code == 0
    assert f"removed: {Path('masks') / 'scan_probabilities.nii.gz'}, of an earlier call" in out
    assert {path.name for path in masks.iterdir()} == {
        *("report.json", "statistics.csv", "scan_mask.nii.gz", "scan_preview.png")
    }
    assert (masks / "statistics.csv").read_text() != rows
    broken = {"cases": [{"name": "scan", "written": [5]}]}
    (masks / "report.json").write_text(json.dumps(broken))
    assert "report.json is broken; delete it, or give --force" in predict(scan, "--resume")[2]
    assert predict(scan, "--force")[0] == 0
    assert predict(scan, "--resume")[0] == 0


def test_numbered_pictures_are_one_volume_with_a_word_and_a_lone_one_keeps_its_name(
    predict: Predict, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, page in zip(("a_1", "a_2", "b_7"), head(3), strict=True):
        Image.fromarray((page / 4).astype(np.uint8)).save(scans / f"{name}.png")
    code, out, _ = predict(scans)
    assert code == 0
    assert "2 numbered pictures, a_1.png to a_2.png: taken as one volume's slices" in out
    names = sorted(path.name for path in (tmp_path / "masks").glob("*.png"))
    assert names == ["a_1_mask.png", "a_2_mask.png", "b_7_mask.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        ([], "no scan to segment"),
        (["--pre", "a.nii.gz"], "--flair FILE is needed"),
        (["scan.nii.gz", "--flair", "scan.nii.gz"], "give files or flags"),
        (["--flair", "none.nii.gz"], "none.nii.gz does not exist"),
        (
            ["--flair", "scan.nii.gz", "--post", "scan.nii.gz"],
            "scan.nii.gz is given as flair and as post; leave out what is none",
        ),
        (["scan.nii.gz", "scan.nii.gz"], "two cases are called scan"),
        (["scan.nii.gz", "--device", "gpu"], "CUDA GPU"),
        (["scan.nii.gz", "--order", "flair", "flair"], "must name each sequence once"),
        (["scan.nii.gz", "--order", "adc"], "--order adc: must be of flair, pre, post, t2"),
    ],
)
def test_wrong_usage_ends_in_one_line_and_2(
    words: list[str], message: str, predict: Predict, tmp_path: Path
) -> None:
    write_nifti(tmp_path / "scan.nii.gz", head())
    code, _, err = predict(*words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "masks").exists()


def test_weights_that_are_none_are_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", head())
    for weights, message in (
        (tmp_path, "is no run folder"),
        (tmp_path / "none.ckpt", "does not exist"),
        (scan, "is broken, or no checkpoint"),
    ):
        assert main([str(scan), "--weights", str(weights), "--out", str(tmp_path / "m")]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main([str(scan), "--weights", str(run), "--threshold", "1.5"])
    assert left.value.code == 2


def test_several_weights_are_averaged_and_a_lone_checkpoint_will_do(
    run: Path, tmp_path: Path
) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", head())
    best = run / "checkpoints" / "best.ckpt"
    for name, weights in (("one", [best]), ("two", [best, run])):
        words = [str(scan), "--weights", *map(str, weights), "--out", str(tmp_path / name)]
        assert main([*words, "--probabilities"]) == 0
    one, two = (
        np.asarray(nib.load(tmp_path / name / "scan_probabilities.nii.gz").dataobj)
        for name in ("one", "two")
    )
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert (
        RunFolder(run).required_metrics["weights"] in report(tmp_path / "one")["weights"].values()
    )


def test_help_is_there_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from brainseg.predict.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert b"research only" in done.stdout
