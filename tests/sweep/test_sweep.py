import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from brainseg.runs.cell import LAST, Cell
from brainseg.sweep.sweep import run_sweep
from brainseg.sweep.table import results, text, varied_keys
from brainseg.train import write_report
from brainseg.training.fit import fit
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


def cells_processes() -> list[BaseProcess]:
    """Children that are no data loader's workers, which earlier tests may have left to the gc."""
    return [child for child in multiprocessing.active_children() if not child.daemon]


def kill_the_first_child(sign: int, after: Callable[[], bool]) -> threading.Thread:
    """Send a signal to the cell that trains, once `after()` is true."""

    def hunt() -> None:
        while not (after() and cells_processes()):
            time.sleep(0.02)
        pid = cells_processes()[0].pid
        assert pid is not None
        os.kill(pid, sign)

    thread = threading.Thread(target=hunt, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_killed_cell_costs_only_itself_and_is_retried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    assert "resumes after its last whole epoch" in (cells[0].folder / "train.log").read_text()
    assert "dice  finished before, skipped" in caplog.text


def test_a_sweep_ends_with_its_report_where_it_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sweep = tmp_path / "sweep"
    fixed = ("report=true", "trainer.precision=32-true")
    cells = [tiny_cell(sweep / norm, f"norm={norm}", *fixed) for norm in ("batch", "layer")]
    for cell in cells:
        fit(cell, title=cell.folder.name)
    assert run_sweep(cells, LOGGING, write_report) == 0
    assert "Chosen on validation: " in caplog.text
    page = (sweep / "report/report.html").read_text(encoding="utf-8")
    assert "Chosen on validation: " in page
    (cells[0].folder / "patients.csv").write_text("patient\n")
    (cells[1].folder / "patients.csv").write_text("patient\n")
    assert run_sweep(cells, LOGGING, write_report) == 1
    assert "there is no report: " in caplog.text


def test_a_sweep_with_a_failed_cell_is_reported_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [tiny_cell(tmp_path / "sweep/batch", "report=true")]
    monkeypatch.setattr("brainseg.sweep.process.train_in_child", lambda *_: None)
    asked: list[Path] = []

    def report(given: Sequence[Cell]) -> bool:
        asked.extend(cell.folder for cell in given)
        return True

    assert run_sweep(cells, LOGGING, report) == 1
    assert asked == [cells[0].folder]


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


@pytest.mark.slow
def test_a_cell_that_hangs_is_stopped_at_its_limit_and_costs_only_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    hang = "+callbacks.hang={_target_: time.sleep, _args_: [1000]}"
    hung = tiny_cell(tmp_path / "sweep" / "hung", hang, "limit=0.002")
    sound = tiny_cell(tmp_path / "sweep" / "sound", "epochs=1")
    assert run_sweep([hung, sound], LOGGING) == 1
    assert sound.finished
    assert "took longer than limit=0.002 hours" in (hung.failure() or "")
    assert "1 of 2 cells failed: hung" in caplog.text


@pytest.mark.slow
def test_longer_cells_come_last_and_continue_shorter_ones_whatever_the_order_given(
    tmp_path: Path,
) -> None:
    cells = [tiny_cell(tmp_path / "sweep" / f"e{n}", f"epochs={n}") for n in (3, 1)]
    assert run_sweep(cells, LOGGING) == 0
    assert "continues e1" in (cells[0].folder / "train.log").read_text()
    assert len(pd.read_csv(tmp_path / "sweep/e3/history.csv")) == 3
    later = tiny_cell(tmp_path / "sweep" / "e4", "epochs=4")
    assert run_sweep([later], LOGGING) == 0
    assert "continues e3" in (later.folder / "train.log").read_text()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def shared_memory() -> int:
    return Path("/proc/self/maps").read_text().count("/dev/shm/")  # that of other processes aside


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_twenty_cells_leave_nothing_behind_and_the_last_needs_no_more_than_the_first(
    tmp_path: Path,
) -> None:
    def peak(cell: Cell) -> float:
        return float(
            json.loads((cell.folder / "metrics.json").read_text())["peak_memory_mb"]["host"]
        )

    def parent() -> int:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages)

    cells = [tiny_cell(tmp_path / "sweep" / str(n), "epochs=1", f"seed={n}") for n in range(20)]
    assert run_sweep(cells[:1], LOGGING) == 0
    files, shared, pages = open_files(), shared_memory(), parent()
    assert run_sweep(cells, LOGGING) == 0
    assert open_files() <= files
    assert shared_memory() <= shared
    assert cells_processes() == []
    assert parent() <= 1.05 * pages
    peaks = [peak(cell) for cell in cells]
    assert max(peaks) <= 1.05 * peaks[0]


@pytest.mark.slow
def test_what_the_forkserver_imports_asks_nothing_of_cuda() -> None:
    code = """
import torch
def asked(*args, **kwargs): raise SystemExit("CUDA was asked at import; its forks could not use it")
for name in ("is_available", "device_count", "current_device", "_lazy_init"):
    setattr(torch.cuda, name, asked)
import brainseg.training.fit
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_brackets_in_a_reason_are_no_markup(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "cell")
    cell.write_failure("/scans/a[/b]/c.tif is broken")
    assert "/scans/a[/b]/c.tif is broken" in text(results([cell])).replace("\n", "")
