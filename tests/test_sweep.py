import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brainseg.cell import LAST, Cell
from brainseg.sweep import run_sweep
from brainseg.table import results, varied_keys
from tests.conftest import tiny_cell

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"class": "brainseg.logs.ConsoleHandler"},
        "file": {"class": "logging.FileHandler", "delay": True, "filename": "x.log"},
    },
    "root": {"level": "INFO", "handlers": ["console", "file"]},
}


def kill_the_first_child(sign: int, after: Callable[[], bool]) -> threading.Thread:
    """Send a signal to the cell that trains, once `after()` is true."""

    def hunt() -> None:
        while not (after() and multiprocessing.active_children()):
            time.sleep(0.02)
        pid = multiprocessing.active_children()[0].pid
        assert pid is not None
        os.kill(pid, sign)

    thread = threading.Thread(target=hunt, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_killed_cell_costs_only_itself_and_is_retried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO")
    cells = [
        tiny_cell(tmp_path / "sweep" / loss, f"loss={loss}", "epochs=60")
        for loss in ("bce", "dice")
    ]
    kill_the_first_child(signal.SIGKILL, (cells[0].folder / LAST).exists)
    assert run_sweep(cells, LOGGING) == 1
    assert not cells[0].finished
    assert "SIGKILL" in (cells[0].failure() or "")
    assert cells[1].finished
    assert "1 of 2 cells failed: bce" in caplog.text
    assert run_sweep(cells, LOGGING) == 0
    assert cells[0].finished
    assert "resumes after its last whole epoch" in capfd.readouterr().out
    assert "dice  finished before, skipped" in caplog.text


def finished_cell(folder: Path, dice: float, *overrides: str) -> Cell:
    cell = tiny_cell(folder, *overrides)
    scores = {part: {"dice": dice} for part in ("val", "test")}
    folder.mkdir(parents=True)
    metrics = {
        "scores": {"best": scores},
        "best_epoch": 2,
        "epochs": 3,
        "seconds": {"epochs": 4.0},
        "split": {"leaky": False},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return cell


def column(cells: list[Cell], name: str) -> list[str]:
    table = results(cells)
    return [str(c) for each in table.columns if each.header == name for c in each.cells]


def test_the_table_is_sorted_by_val_dice_with_the_failed_ones_named_last(tmp_path: Path) -> None:
    failed = tiny_cell(tmp_path / "failed", "loss=iou")
    failed.write_failure("no memory")
    low = finished_cell(tmp_path / "low", 0.25)
    high = finished_cell(tmp_path / "high", 0.75)
    cells = [failed, low, high]
    assert column(cells, "folder") == ["high", "low", "failed"]
    assert column(cells, "val Dice") == ["0.750", "0.250", ""]
    assert column(cells, "state") == ["finished", "finished", "failed: no memory"]


def test_the_table_shows_what_else_differs(tmp_path: Path) -> None:
    cells = [
        finished_cell(tmp_path / str(lr), lr, f"optimizer.lr={lr}", "norm=batch")
        for lr in (0.1, 0.2)
    ]
    assert varied_keys(cells) == ["optimizer.lr"]
    assert column(cells, "optimizer.lr") == ["0.2", "0.1"]


def test_a_group_that_differs_stands_for_its_keys(tmp_path: Path) -> None:
    cells = []
    for sampler in ("uniform", "tumour"):
        cell = tiny_cell(tmp_path / sampler, f"sampler={sampler}")
        cells.append(Cell(cell.config, cell.choices | {"sampler": sampler}, cell.folder, ""))
    assert varied_keys(cells) == ["sampler"]


def test_norm_loss_epochs_and_seed_are_no_news(tmp_path: Path) -> None:
    cells = [tiny_cell(tmp_path / "a"), tiny_cell(tmp_path / "b", "norm=layer", "seed=1")]
    assert varied_keys(cells) == []


def test_a_leaky_split_is_named_in_the_table(tmp_path: Path) -> None:
    cell = finished_cell(tmp_path / "leak", 0.9)
    path = cell.folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"split": {"leaky": True}}))
    assert column([cell], "state") == ["LEAKY split"]


def test_two_cells_never_share_a_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cells = [tiny_cell(tmp_path / "same"), tiny_cell(tmp_path / "same", "optimizer.lr=0.5")]
    assert run_sweep(cells, LOGGING) == 1
    assert not (tmp_path / "same").exists()
