"""Whatever happens to a cell on its way, it ends as if nothing had."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from brainseg.runs.cell import Cell
from brainseg.runs.checkpoint import load_checkpoint, save_checkpoint
from brainseg.runs.folder import LAST, RunFolder
from brainseg.training.fit import fit
from tests.conftest import assert_same_outcome, tiny_cell

MODULE = "brainseg.module.SegmentationModule"
DROPOUT = "model.net.dropout=0.3"


class Stop(Exception):  # noqa: N818
    pass


def stop_in_epoch(patch: pytest.MonkeyPatch, epoch: int) -> None:
    def stop(self: L.LightningModule, *args: object) -> None:
        if self.current_epoch == epoch:
            raise Stop

    patch.setattr(f"{MODULE}.on_train_batch_end", stop)


def interrupt(cell: Cell, epoch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_in_epoch(patch, epoch)
        with pytest.raises(Stop):
            fit(cell, title="broken")


@pytest.mark.parametrize("scheduler", ["constant", "cosine", "onecycle", "plateau"])
def test_a_resumed_run_ends_as_an_undisturbed_one(scheduler: str, tmp_path: Path) -> None:
    options = [f"scheduler={scheduler}", "epochs=4", DROPOUT]
    options += ["scheduler.patience=0"] if scheduler == "plateau" else []
    whole = tiny_cell(tmp_path / "whole", *options)
    fit(whole, title="whole")
    broken = tiny_cell(tmp_path / "broken", *options)
    interrupt(broken, 2)
    fit(broken, title="resumed")
    assert_same_outcome(whole, broken)


@pytest.mark.slow
def test_a_run_with_workers_resumes_with_the_slices_of_its_next_epoch(tmp_path: Path) -> None:
    whole, broken = (tiny_cell(tmp_path / name, "epochs=3", "workers=2") for name in "ab")
    fit(whole, title="whole")
    interrupt(broken, 1)
    fit(broken, title="resumed")
    assert_same_outcome(whole, broken)


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_a_stop_between_training_and_checkpoint_costs_that_epoch_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = (
        tiny_cell(tmp_path / folder, "epochs=4", "scheduler=constant", "callbacks=plain")
        for folder in ("whole", "broken")
    )
    fit(whole, title="whole")

    stopped = []

    def stop(checkpoint: dict[str, Any], path: Path) -> None:
        if path.name == name and checkpoint["epoch"] > 0:  # which epoch is best, processors decide
            stopped.append(checkpoint["epoch"])
            raise Stop
        save_checkpoint(checkpoint, path)

    with monkeypatch.context() as patch:
        patch.setattr("brainseg.runs.checkpoint.save_checkpoint", stop)
        with pytest.raises(Stop):
            fit(broken, title="broken")
    assert load_checkpoint(broken.folder / LAST)["epoch"] == stopped[0] - 1
    fit(broken, title="resumed")
    assert_same_outcome(whole, broken)


def _fit(cell: Cell) -> None:
    torch.set_num_threads(1)
    fit(cell, title="child")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["scheduler=constant", "trainer.precision=bf16-mixed"],
        ["scheduler=cosine", "trainer.precision=32-true"],
        ["scheduler=onecycle", "workers=2"],
        ["scheduler=plateau", "scheduler.patience=0"],
        ["callbacks=early_stopping", "callbacks.early_stopping.patience=2", "epochs=9"],
    ],
    ids=lambda options: " ".join(options[:2]),
)
def test_killed_at_random_moments_a_run_ends_as_an_undisturbed_one(
    options: list[str], tmp_path: Path
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["brainseg.training.fit"])
    options = ["epochs=5", DROPOUT, *options]
    whole, killed = (tiny_cell(tmp_path / name, *options) for name in ("whole", "killed"))
    began = time.monotonic()
    child = processes.Process(target=_fit, args=(whole,))
    child.start()
    child.join()
    assert child.exitcode == 0
    seconds = time.monotonic() - began
    kills = 0
    for _ in range(6):
        child = processes.Process(target=_fit, args=(killed,))
        child.start()
        child.join(random.uniform(0.1, seconds))
        if child.is_alive():
            child.kill()
            kills += 1
        child.join()
    assert kills or killed.finished
    fit(killed, title="last try")
    assert_same_outcome(whole, killed)


def test_files_half_written_at_a_kill_never_hurt(tmp_path: Path) -> None:
    whole, broken = (tiny_cell(tmp_path / name, "epochs=3") for name in ("whole", "broken"))
    fit(whole, title="whole")
    interrupt(broken, 2)
    tables = ("history.csv", "metrics.json", "patients.csv", "predictions.npz")
    for name in (*tables, LAST, "checkpoints/best.ckpt"):
        (broken.folder / f"{name}.part").write_bytes(b"half")
    fit(broken, title="resumed")
    assert_same_outcome(whole, broken)
    assert not list(broken.folder.rglob("*part*"))


def test_a_run_folder_that_was_moved_resumes_with_its_best_epoch(tmp_path: Path) -> None:
    options = ["epochs=4", "optimizer.lr=0.01"]
    whole, broken = (tiny_cell(tmp_path / name, *options) for name in ("whole", "broken"))
    fit(whole, title="whole")
    interrupt(broken, 3)
    broken.folder.rename(tmp_path / "moved")
    moved = replace(broken, folder=tmp_path / "moved")
    fit(moved, title="moved")
    assert_same_outcome(whole, moved)


def test_an_early_stopped_cell_is_not_trained_one_epoch_more_each_time(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "run", *NEVER_BETTER, "epochs=9")
    fit(cell, title="run")
    assert RunFolder(cell.folder).required_metrics["stopped_early"]
    epochs = RunFolder(cell.folder).required_metrics["epochs"]
    (cell.folder / "metrics.json").unlink()
    fit(cell, title="again")
    assert RunFolder(cell.folder).required_metrics["epochs"] == epochs < 9


NEVER_BETTER = [
    "callbacks=early_stopping",
    "callbacks.early_stopping.patience=1",
    "callbacks.early_stopping.min_delta=2",
]


def test_resuming_on_other_scans_is_refused(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "run")
    fit(cell, title="run")
    (cell.folder / "metrics.json").unlink()
    split = json.loads((cell.folder / "split.json").read_text())
    (cell.folder / "split.json").write_text(json.dumps(split | {"fingerprint": "other"}))
    with pytest.raises(ValueError, match="other scans"):
        fit(cell, title="again")


def test_a_clock_that_goes_backwards_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, odd = (tiny_cell(tmp_path / name, "epochs=3") for name in ("whole", "odd"))
    fit(whole, title="whole")
    now = iter(range(10**9, 0, -3600))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: float(next(now)))
        interrupt(odd, 1)
        fit(odd, title="odd")
    assert_same_outcome(whole, odd)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BRAINSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def damage_in_epoch(patch: pytest.MonkeyPatch, damage: str, cache: Path) -> None:
    def act(self: L.LightningModule) -> None:
        if self.current_epoch == 1:
            for folder in cache.glob("phantom-*[!k]"):
                if damage == "deleted":
                    shutil.rmtree(folder)
                else:
                    os.truncate(folder / "images.u8", 10)

    patch.setattr(f"{MODULE}.on_validation_epoch_start", act)


def test_a_cache_deleted_while_in_use_changes_nothing(tmp_path: Path, own_cache: Path) -> None:
    whole, odd, after = (tiny_cell(tmp_path / n, "epochs=3") for n in ("whole", "odd", "after"))
    fit(whole, title="whole")
    with pytest.MonkeyPatch.context() as patch:
        damage_in_epoch(patch, "deleted", own_cache)
        fit(odd, title="odd")
    fit(after, title="after")
    assert_same_outcome(whole, odd)
    assert_same_outcome(whole, after)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_cache_truncated_while_in_use_ends_in_one_line_and_then_resumes(
    workers: int, tmp_path: Path, own_cache: Path
) -> None:
    from brainseg.errors import reason

    options = ["epochs=3", f"workers={workers}"]
    whole, odd = (tiny_cell(tmp_path / name, *options) for name in ("whole", "odd"))
    fit(whole, title="whole")
    with pytest.MonkeyPatch.context() as patch:
        damage_in_epoch(patch, "truncated", own_cache)
        with pytest.raises((OSError, RuntimeError)) as error:
            fit(odd, title="odd")
    line = reason(error.value)
    assert "\n" not in line
    # a worker that is reading just then dies of it
    expected = ("the cache", "a process that loads data ended") if workers else "the cache"
    assert line.startswith(expected)
    assert "run the same command again" in line
    fit(odd, title="odd")
    assert_same_outcome(whole, odd)
    assert signal.getsignal(signal.SIGBUS) == signal.SIG_DFL


def test_a_broken_metrics_file_is_written_anew_from_the_checkpoints(tmp_path: Path) -> None:
    whole, odd = (tiny_cell(tmp_path / name) for name in ("whole", "odd"))
    for cell in (whole, odd):
        fit(cell, title=cell.folder.name)
    (odd.folder / "metrics.json").write_text("")
    assert not odd.finished
    fit(odd, title="odd")
    assert_same_outcome(whole, odd)


@pytest.mark.parametrize("name", [LAST, ".hydra/config.yaml"])
@pytest.mark.parametrize("content", [b"", b"half\x00\xff: ["], ids=["empty", "garbage"])
def test_a_broken_file_is_named_with_what_to_do(name: str, content: bytes, tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "run", "epochs=3")
    interrupt(cell, 1)
    (cell.folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"run/{name} is broken.*move .* away") as error:
        fit(cell, title="again")
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_configuration_is_never_resumed(tmp_path: Path) -> None:
    interrupt(tiny_cell(tmp_path / "run", "epochs=3"), 1)
    shutil.rmtree(tmp_path / "run/.hydra")
    other = tiny_cell(tmp_path / "run", "epochs=3", "optimizer.lr=0.01")
    with pytest.raises(ValueError, match=r"another configuration \(optimizer.lr: 0.001 -> 0.01"):
        fit(other, title="other")
