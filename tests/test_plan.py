import logging
import multiprocessing
import shutil
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from brainseg import cost
from brainseg.cell import BEST, LAST, Cell
from brainseg.config import instantiate
from brainseg.cost import Cost
from brainseg.plan import Planned, plan, sums
from tests.conftest import tiny_cell
from tests.test_progress import write_history, write_metrics

COST = Cost(
    epoch=60.0,
    outside=5.0,
    parameters=10,
    best=10**7,
    last=3 * 10**7,
    predictions=10**6,
    memory=10**9,
)


def text(shown: RenderableType) -> list[str]:
    out = StringIO()
    Console(file=out, width=400).print(shown)
    return out.getvalue().splitlines()


def row(lines: list[str], folder: str) -> str:
    (one,) = [line for line in lines if line.rstrip("│ ").endswith(f"│ {folder}")]
    return one


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every cell costs `COST`; the names of those that were measured."""
    names = []

    def measure(cell: Cell, processes: Any) -> Cost:
        names.append(cell.folder.name)
        return COST

    monkeypatch.setattr(cost, "_measured", measure)
    return names


def test_every_cell_says_where_it_begins_and_what_it_costs(
    tmp_path: Path, measured: list[str]
) -> None:
    done = tiny_cell(tmp_path / "done", "norm=layer")
    write_metrics(done.folder, 0.5, epochs=2, seconds=1.0)
    begun = tiny_cell(tmp_path / "begun", "norm=instance", "epochs=5")
    write_history(begun.folder, [0.1, 0.2], 1.0)
    short, long = (tiny_cell(tmp_path / f"e{n}", f"epochs={n}") for n in (2, 6))
    broken = tiny_cell(tmp_path / "broken", "loss=dice")
    broken.write_failure("no memory")
    shown, complete = plan([done, begun, short, long, broken], None)
    assert complete
    lines = text(shown)
    assert "│ done " in row(lines, "done")
    assert "0:" not in row(lines, "done")
    assert "resumes after epoch 2" in row(lines, "begun")
    assert "│ 3        │ 0:03:05 " in row(lines, "begun")
    assert "│ to train " in row(lines, "e2")
    assert "│ 2        │ 0:02:05 " in row(lines, "e2")
    assert "continues from e2" in row(lines, "e6")
    assert "│ 4        │ 0:04:05 " in row(lines, "e6")
    assert "to train; failed before: no memory" in row(lines, "broken")
    # 3 + 2 + 4 + 2 epochs of a minute, and 4 times 5 s
    assert "4 of 5 cells to train, 11 epochs, about 0:11:20" in lines
    assert "done" not in measured


def test_a_longer_cell_continues_a_finished_one_of_an_earlier_command(
    tmp_path: Path, measured: list[str]
) -> None:
    short, long = (tiny_cell(tmp_path / f"e{n}", f"epochs={n}") for n in (2, 6))
    shown, _ = plan([long], None, finished=[short])
    assert "continues from e2" in row(text(shown), "e6")


def test_where_the_schedule_depends_on_the_epochs_nothing_is_continued(
    tmp_path: Path, measured: list[str]
) -> None:
    cells = [tiny_cell(tmp_path / f"e{n}", f"epochs={n}", "scheduler=cosine") for n in (2, 6)]
    shown, _ = plan(cells, None)
    assert "│ to train " in row(text(shown), "e6")
    assert "2 of 2 cells to train, 8 epochs, about 0:08:10" in text(shown)


def test_cells_that_cost_the_same_are_measured_once(tmp_path: Path, measured: list[str]) -> None:
    same = [
        "seed=1",
        "epochs=3",
        "optimizer.lr=0.5",
        "scheduler=cosine",
        "callbacks=early_stopping",
        "split.fold=1",
    ]
    other = ["norm=layer", "loss=dice", "batch_size=2", "model.net.width=16", "optimizer=sgd"]
    cells = [tiny_cell(tmp_path / word, word) for word in ["epochs=2", *same, *other]]
    plan(cells, None)
    assert measured == ["epochs=2", *other]


def fit_in(monkeypatch: pytest.MonkeyPatch, memory: int, free: int) -> None:
    monkeypatch.setattr("brainseg.plan._memory", lambda: memory)
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)


def test_what_does_not_fit_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = tiny_cell(tmp_path / "cell")
    planned = [Planned(cell, "to train", 2, replace(COST, gpu=2 * 10**9, gpu_total=10**9))]
    fit_in(monkeypatch, memory=10**10, free=10**9)
    # weights, weights and state of Adam twice while they are replaced, predictions
    assert sums(planned)[1:] == [
        "memory: 1.00 GB of 10.00 GB",
        "GPU memory: 2.00 GB of 1.00 GB - TOO LITTLE",
        "disk: 0.07 GB more, free are 1.00 GB",
    ]
    fit_in(monkeypatch, memory=10**8, free=10**7)
    assert sums(planned)[1] == "memory: 1.00 GB of 0.10 GB - TOO LITTLE"
    assert sums(planned)[3] == "disk: 0.07 GB more, free are 0.01 GB - TOO LITTLE"


def test_checkpoints_that_are_there_need_no_disk(tmp_path: Path) -> None:
    planned = Planned(tiny_cell(tmp_path / "cell"), "", 1, COST)
    assert planned.disk == COST.best + COST.last + COST.predictions
    for name, size in ((BEST, COST.best), (LAST, COST.last)):
        (tmp_path / "cell" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cell" / name).write_bytes(bytes(size))
    assert planned.disk == COST.predictions


def test_where_all_is_done_nothing_is_measured(tmp_path: Path, measured: list[str]) -> None:
    cell = tiny_cell(tmp_path / "done")
    write_metrics(cell.folder, 0.5, epochs=2, seconds=1.0)
    shown, complete = plan([cell], None)
    assert complete
    assert text(shown)[-1] == "0 of 1 cells to train, 0 epochs, about 0:00:00"
    assert measured == []


def breaks(cell: Cell, target: str, *args: object) -> Cell:
    """The cell, whose process ends where its optimizer is made."""
    return replace(cell, config=cell.config | {"optimizer": {"_target_": target, "_args_": args}})


@pytest.mark.slow
def test_a_plan_trains_nothing_and_a_cell_whose_child_dies_costs_only_its_own_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    good = tiny_cell(tmp_path / "good")
    killed = breaks(tiny_cell(tmp_path / "killed"), "signal.raise_signal", 9)
    large = tiny_cell(tmp_path / "large", "batch_size=4000")
    last = tiny_cell(tmp_path / "last", "norm=layer")
    instantiate(good.config["data"]).prepare()
    cells = [good, killed, large, last]
    # not the forkserver, which later tests start with their own standard output
    shown, complete = plan(cells, multiprocessing.get_context("spawn"))
    assert not complete
    assert "killed could not be measured: killed by SIGKILL; often out of memory" in caplog.messages
    assert "large could not be measured: batch_size=4000 must not be above" in caplog.text
    lines = text(shown)
    for cell in cells:
        assert ("not measured" in row(lines, cell.folder.name)) is (cell not in (good, last))
    assert "2 of them could not be measured and count as nothing here" in lines
    assert list(tmp_path.iterdir()) == []
    assert multiprocessing.active_children() == []


def test_planning_imports_no_torch() -> None:
    code = "import brainseg.plan, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
