"""Scans made worse, and what their scores say."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brainseg.evaluate import __main__ as command
from brainseg.evaluate.corruption import KINDS, LEVELS, corrupted
from brainseg.evaluate.request import Request
from brainseg.evaluate.robustness import robustness
from brainseg.runs.folder import RunFolder


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    """Two balls in noise, sequence 2 a copy of sequence 1; [D, H, W, 3]."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (12, 128, 128)), indexing="ij")
    head = 120 * (x**2 + y**2 + z**2 < 0.8) + 80 * ((x - 0.2) ** 2 + y**2 + z**2 < 0.1)
    noise = np.random.default_rng(0).normal(0, 3, (12, 128, 128, 3))
    found = (head[..., None] + noise + 20).clip(1, 255)
    found[..., 2] = found[..., 1]
    return found.astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_each_level_is_further_from_the_scan_and_drawn_alike(kind: str, volume: np.ndarray) -> None:
    assert len(KINDS[kind].strengths) == len(LEVELS)
    far = []
    for level in LEVELS:
        found = corrupted(volume, kind, level, "p")
        assert found.dtype == np.uint8
        assert found.shape == volume.shape
        np.testing.assert_array_equal(found, corrupted(volume, kind, level, "p"))
        np.testing.assert_array_equal(found[..., 1], found[..., 2])
        far.append(float(np.abs(found.astype(float) - volume).mean()))
    assert (np.diff(far) > 0).all()
    assert far[0] > 0.1


def test_what_is_drawn_depends_on_the_patient(volume: np.ndarray) -> None:
    for kind in ("bias field", "noise"):
        one, two = (corrupted(volume, kind, 5, name) for name in "ab")
        assert (one != two).any()


def test_outside_of_a_stripped_head_stays_black(volume: np.ndarray) -> None:
    stripped = np.where(volume.max(-1, keepdims=True) > 60, volume, 0)
    found = corrupted(stripped, "noise", 5, "p")
    assert not found[stripped.max(-1) == 0].any()
    assert (
        corrupted(volume, "noise", 5, "p")[volume.max(-1) < 25].mean()
        > volume[volume.max(-1) < 25].mean()
    )


def test_strengths_are_what_they_are_called(volume: np.ndarray) -> None:
    thick = corrupted(volume, "thick slices", 2, "p").astype(float)
    np.testing.assert_array_equal(thick[0], thick[2])
    np.testing.assert_allclose(thick[0], volume[:3].mean(0), atol=0.51)
    flat = np.full((4, 64, 64, 1), 100, np.uint8)
    noisy = corrupted(flat, "noise", 3, "p").astype(float)
    assert noisy.std() == pytest.approx(0.07 * 255, rel=0.1)
    power = corrupted(flat, "intensity", 4, "p")[0, 0, 0, 0] / 255
    assert np.isclose(power, [(100 / 255) ** 2, (100 / 255) ** 0.5], atol=0.003).any()
    field = np.log(corrupted(flat, "bias field", 3, "p") / 100)
    assert np.abs(field).max() == pytest.approx(0.6, abs=0.02)


def test_folds_are_scored_each_on_its_own_patients(folds: list[Path], tmp_path: Path) -> None:
    robustness(Request(tuple(folds[:2]), out=tmp_path / "out"))
    table = pd.read_csv(tmp_path / "out-corrupt/robustness.csv")
    clean = table[table["level"] == 0].set_index("patient")["dice"]
    for run in folds[:2]:
        own = pd.read_csv(run / "patients.csv").query("checkpoint == 'best' and split == 'test'")
        found = clean[own["patient"]].to_numpy()
        np.testing.assert_allclose(found, own["dice"], atol=1e-5)


def test_the_command_writes_a_table_a_plot_and_every_patient(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(run), "--split", "val", "--out", str(tmp_path / "out"), "--corrupt"]
    assert command.main(words) == 0
    folder = tmp_path / "out-corrupt"
    assert capsys.readouterr().out.strip() == str(folder / "robustness.md")
    table = pd.read_csv(folder / "robustness.csv")
    told = RunFolder(run).required_metrics["scores"]["best"]["val"]["dice"]
    clean = table[table["level"] == 0]
    assert clean["dice"].mean() == pytest.approx(told, abs=1e-5)
    assert len(table) == len(clean) * (1 + len(KINDS) * len(LEVELS))
    text = (folder / "robustness.md").read_text()
    worst = table[(table["kind"] == "noise") & (table["level"] == 5)]["dice"].mean()
    line = next(line for line in text.splitlines() if line.startswith("| noise |"))
    assert f"| {worst:.3f} | {clean['dice'].mean() - worst:.3f}" in line
    assert (folder / "robustness.png").stat().st_size > 10_000
    assert json.loads((folder / "card.json").read_text())["about"]["command"].endswith("--corrupt")
    assert command.main(words) == 0  # in the place of its own
    with pytest.raises(SystemExit):
        command.main([*words, "--spacing", "1", "1", "1"])
    assert "are of the card" in capsys.readouterr().err
