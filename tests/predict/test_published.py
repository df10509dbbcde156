"""Weights to give away: the same masks, no code in them, and every damage is told."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from brainseg.export.__main__ import main as export
from brainseg.predict.__main__ import main as predict
from brainseg.predict.published import load_published
from brainseg.runs.folder import RunFolder
from tests.predict.conftest import head, write_nifti


@pytest.fixture
def published(run: Path, tmp_path: Path) -> Path:
    assert export([str(run), "--out", str(tmp_path / "weights"), "--licence", "CC0"]) == 0
    return tmp_path / "weights"


def test_published_weights_segment_as_the_run_does(
    run: Path, published: Path, tmp_path: Path
) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", head())
    found = []
    for name, weights in (("run", run), ("published", published)):
        words = [str(scan), "--weights", str(weights), "--out", str(tmp_path / name)]
        assert predict([*words, "--probabilities"]) == 0
        image = nib.load(tmp_path / name / "scan_probabilities.nii.gz")
        found.append(np.asarray(image.dataobj))
    np.testing.assert_array_equal(*found)


def test_a_card_that_cuts_elsewhere_is_another_mask_for_resume(
    published: Path, tmp_path: Path
) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", head())
    words = [str(scan), "--weights", str(published), "--out", str(tmp_path / "masks"), "--resume"]
    card = json.loads((published / "model.json").read_text())
    del card["threshold_alone"]  # of a card that is older, which has one threshold for all
    pixels = []
    for threshold in ({}, {"threshold_alone": 0.002}, {"threshold_alone": 0.998}):
        (published / "model.json").write_text(json.dumps(card | threshold))
        assert predict(words) == 0
        (case,) = json.loads((tmp_path / "masks" / "report.json").read_text())["cases"]
        assert case["threshold"] == threshold.get("threshold_alone", card["threshold"])
        pixels.append(case["pixels"])
    assert pixels[1] > pixels[0] > pixels[2]


def test_the_card_says_what_the_run_was_and_names_no_code_and_no_patient(
    run: Path, published: Path
) -> None:
    text = (published / "model.json").read_text()
    card, metrics = json.loads(text), RunFolder(run).required_metrics
    assert card["scores"]["test"]["dice"] == metrics["scores"]["best"]["test"]["dice"]
    assert card["channels"] == ["pre", "flair", "post"]
    assert card["licence"] == "CC0"
    assert "_target_" not in text
    assert len(card["training_patients"]) == len(metrics["split"]["members"]["train"])
    assert not [
        name for names in metrics["split"]["members"].values() for name in names if name in text
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sha256", "0" * 64, "is not the file"),
        ("format", 2, "format 2"),
        ("options", {"norm": "../../x", "model": "unet"}, "is no option"),
        ("network", {"width": "${oc.env:HOME}"}, "must be a number or a word"),
        ("network", {"width": {"_target_": "os.system"}}, "must be a number or a word"),
        ("network", {"width": 16, "depth": 2}, "size mismatch|Error"),
        ("preprocessing", {"version": 99}, "version 99"),
        ("channels", None, "cannot be used"),
        ("channels", ["flair"], "channels .* of .*flair"),
        ("norm", {"momentum": "x"}, "momentum=x is none such as 0.1"),
        ("regions", [], "no regions"),
    ],
)
def test_a_card_that_was_changed_is_refused_in_one_line(
    key: str, value: object, message: str, published: Path
) -> None:
    path = published / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=message) as refused:
        load_published(published)
    assert "\n" not in str(refused.value)


def test_damaged_weights_are_refused(published: Path) -> None:
    path = published / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="is not the file that it was written for"):
        load_published(published)
    path.unlink()
    with pytest.raises(ValueError, match="No such file"):
        load_published(published)


def test_export_refuses_what_it_cannot_do_in_one_line(
    run: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        ([str(run), "--out", str(published)], "is not an empty folder"),
        ([str(published), "--out", "x"], "is no run folder"),
    ):
        capsys.readouterr()
        assert export(words) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("where", ["checkpoint", "config"])
def test_export_builds_nothing_that_a_run_folder_names(
    where: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied, foreign = tmp_path / "run", {"_target_": "pathlib.Path.home"}
    shutil.copytree(run, copied)
    if where == "checkpoint":
        path = copied / "checkpoints/best.ckpt"
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["config"]["data"]["reader"] = foreign
        torch.save(checkpoint, path)
    else:
        path = copied / ".hydra/config.yaml"
        config = OmegaConf.load(path)
        config.data.reader = foreign
        OmegaConf.save(config, path)
    code = export([str(copied), "--out", str(tmp_path / "out")])
    assert code == (2 if where == "checkpoint" else 0)  # the file's own is what it was trained with
    if where == "checkpoint":
        assert "_target_=pathlib.Path.home is not allowed" in capsys.readouterr().err


def test_export_of_a_run_without_its_settings_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run/checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["config"]["norm"]
    torch.save(checkpoint, path)
    assert export([str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 2
    assert "cannot be given away (KeyError: 'norm'); train it again" in capsys.readouterr().err
