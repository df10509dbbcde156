"""Weights of a sweep: a network that all trained, judged by folds on patients new to them."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import brainseg
from brainseg.config import compose, instantiate
from brainseg.evaluate.calibration import histogram, temperature
from brainseg.export.__main__ import main as export
from brainseg.export.folds import patients, ways
from brainseg.predict.scan import Scan
from brainseg.predict.segmenter import calibrated
from brainseg.runs.folder import RunFolder
from brainseg.training.fit import fit
from tests.conftest import plain, tiny_cell, weights


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    recipe = ("epochs=8", "optimizer.lr=3e-3")
    for fold in (0, 1, 2):
        words = (f"split.fold={fold}", "split.folds=3")
        fit(tiny_cell(folder / f"f{fold}", *recipe, *words), title="fold")
    fit(tiny_cell(folder / "all", *recipe, "split=all"), title="all")
    return folder


@pytest.fixture(scope="module")
def published(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "weights"
    assert export([str(sweep), "--out", str(folder)]) == 0
    return folder


def test_the_network_is_the_one_that_all_trained_in_float16(sweep: Path, published: Path) -> None:
    tensors = load_file(published / "model.safetensors")
    trained = weights(tiny_cell(sweep / "all", "split=all"))
    for name, value in tensors.items():
        np.testing.assert_array_equal(value, trained[f"net.{name}"].half().numpy(), strict=False)
    everyone = RunFolder(sweep / "all").required_metrics["split"]["members"]["train"]
    card = json.loads((published / "model.json").read_text())
    assert len(card["training_patients"]) == len(everyone) == 8
    assert card["preprocessing"]["few"] == 3  # slices of the smallest patient


def test_scores_are_of_folds_that_had_not_seen_the_patient(sweep: Path, published: Path) -> None:
    card = json.loads((published / "model.json").read_text())
    dice = card["scores"]["dice"]
    assert card["scores"]["of"] == "8 patients out of fold, 3 folds, original pixels"
    tested = [
        RunFolder(sweep / f"f{k}").required_metrics["scores"]["last"]["test"]["dice"]
        for k in range(3)
    ]
    low, high = min(tested) - 0.1, max(tested) + 0.1  # another threshold than 0.5, and float16
    assert low < dice["mean"][0] < high
    assert dice["mean"][1] <= dice["mean"][0] <= dice["mean"][2]
    assert card["scores"]["flair_alone"]["mean"][0] != dice["mean"][0]
    assert len(card["commands"]) == 4


def test_the_cards_threshold_is_what_a_segmenter_cuts_at(published: Path) -> None:
    card = json.loads((published / "model.json").read_text())
    segmenter = brainseg.load(published)
    assert (segmenter.threshold, segmenter.temperature) == (card["threshold"], card["temperature"])
    assert segmenter.threshold_alone == card["threshold_alone"] != card["threshold"]
    probs = np.random.default_rng(0).random((1, 2, 8, 8), np.float32)
    expected = calibrated(probs, segmenter.temperature) > card["threshold"]
    np.testing.assert_array_equal(segmenter.mask(probs, card["threshold"]), expected)
    assert segmenter.mask(probs, 0.9).sum() < segmenter.mask(probs, 0.1).sum()


def test_folds_are_scored_on_sequences_by_the_names_that_weights_know(tmp_path: Path) -> None:
    words = ("data=phantom_brats", "data.reader.patients=4", "data.reader.slices=[3,4]")
    small = ("data.reader.size=48", f"data.root={tmp_path}", "data.regions=[et]")
    config = plain(compose([*words, *small, f"data.cache_dir={tmp_path}"]))
    reader = instantiate(config["data"]["reader"])
    (known, *_) = reader.find(tmp_path).patients
    images, masks, *_ = reader.read(known)
    ((scan, target),) = patients(config, [known.name])
    assert scan.missing(("flair", "pre", "post", "t2")) == []
    np.testing.assert_array_equal(scan.volume(("flair", "pre", "post", "t2")), images)
    np.testing.assert_array_equal(target, masks >> 2 & 1)
    assert list(ways(scan)) == ["dice", "flair_alone", "lone_slices"]
    assert len(ways(scan)["lone_slices"]) == len(images)


def test_other_organs_have_no_score_of_flair_alone() -> None:
    scan = Scan("x", {"mri": np.zeros((2, 4, 4), np.uint8)}, {}, main="mri")
    assert list(ways(scan)) == ["dice", "lone_slices"]


def test_temperature_mends_overconfidence() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4, 64, 64))
    target = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    for degree in (0.5, 1.0, 3.0):
        probs = (1 / (1 + np.exp(-logits * degree))).astype(np.float32)
        assert temperature(histogram(probs, target)) == pytest.approx(degree, rel=0.05)


def test_what_is_no_sweep_of_folds_is_refused_in_one_line(
    sweep: Path, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lone = tmp_path / "lone"
    lone.mkdir()
    (lone / "f0").symlink_to(sweep / "f0")
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    for words, message in (
        ([lone, "--out", tmp_path / "x"], "has 1 folds and 0 cells of split=all"),
        ([sweep, "--out", published], "is not an empty folder"),
        ([sweep, "--out", other, "--force"], "holds other things than weights"),
    ):
        capsys.readouterr()
        assert export([str(word) for word in words]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "x").exists()
