"""Hydra's other launchers and sweepers, over the folder of ours."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from brainseg.runs.folder import RunFolder
from brainseg.sweep.manifest import read
from tests.conftest import TINY

pytestmark = pytest.mark.slow
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
OPTUNA = ("hydra/sweeper=optuna", "hydra.sweeper.n_jobs=2", "hydra.sweeper.direction=maximize")


def needs(plugin: str) -> pytest.MarkDecorator:
    missing = find_spec(f"hydra_plugins.hydra_{plugin}") is None
    return pytest.mark.skipif(missing, reason=f"the plugin hydra_{plugin} is not installed")


def train(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "brainseg.train", "-m", *TINY, "name=a", *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def states(sweep: Path) -> dict[str, str]:
    manifest = read(sweep)
    runs = (RunFolder(sweep / name) for name in manifest.cells)
    return {f"{run.choices['norm']} {(run.config or {})['epochs']}": run.state for run in runs}


@needs("joblib_launcher")
def test_a_sweep_begun_with_joblib_is_ended_by_ours_in_the_same_folders(tmp_path: Path) -> None:
    begun = train(tmp_path, "norm=batch,layer", "jobs=3", *JOBLIB)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    assert "jobs=3 is ignored by hydra/launcher=joblib" in begun.stdout
    assert (
        "a longer cell that starts beside its shorter sibling trains from scratch" in begun.stdout
    )
    assert begun.stdout.count("finished: Dice by patient") == 2
    assert begun.stdout.count("│ finished │") == 2
    sweep = tmp_path / "multirun/a"
    assert states(sweep) == {"batch 2": "finished", "layer 2": "finished"}
    ended = train(tmp_path, "norm=batch,layer,group", "epochs=2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("finished before, skipped") == 2
    assert ended.stdout.count("│ finished │") == 3
    assert states(sweep) == dict.fromkeys(("batch 2", "layer 2", "group 2"), "finished")


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param(JOBLIB, marks=needs("joblib_launcher"), id="joblib"),
        pytest.param(("hydra/launcher=basic",), id="basic"),
        pytest.param(
            ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=9"),
            marks=needs("submitit_launcher"),
            id="submitit_local",
        ),
    ],
)
def test_a_failed_cell_of_any_launcher_is_noted_and_costs_only_itself(
    launcher: tuple[str, ...], tmp_path: Path
) -> None:
    done = train(tmp_path, "epochs=1", "optimizer.lr=0.001,1e30", *launcher)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 of 2 cells failed: batch-bce_dice-e1-s0-" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    (failed,) = tmp_path.glob("multirun/a/*/failed.json")
    assert "the loss was not finite" in json.loads(failed.read_text())["reason"]
    assert len(list(tmp_path.glob("multirun/a/*/metrics.json"))) == 1


def test_a_cell_with_a_bad_value_is_in_the_table_of_any_launcher(tmp_path: Path) -> None:
    done = train(tmp_path, "epochs=1,0", "hydra/launcher=basic")
    assert done.returncode == 1
    assert "epochs=0 must be a whole number >= 1" in done.stdout
    assert "1 of 2 cells failed: batch-bce_dice-e0-s0-" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@needs("optuna_sweeper")
def test_optuna_searches_with_cells_side_by_side(tmp_path: Path) -> None:
    words = ["epochs=1", "jobs=2", "hydra.sweeper.n_trials=4"]
    search = ["norm=choice(batch,group)", "optimizer.lr=tag(log,interval(1e-4,1e-1))"]
    done = train(tmp_path, *words, *search, *OPTUNA)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("2 cells, ") == 2
    best = (tmp_path / "multirun/a/optimization_results.yaml").read_text()
    scores = [run.dice for run in map(RunFolder, (tmp_path / "multirun/a").glob("[!.]*-*"))]
    assert f"best_value: {max(score or 0 for score in scores)}" in best
