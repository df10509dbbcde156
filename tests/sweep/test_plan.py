import pickle
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from rich.console import Console, RenderableType

from brainseg.runs.cell import Cell, finished_in
from brainseg.sweep import manifest
from brainseg.sweep.launch import launch
from brainseg.sweep.plan import plan
from brainseg.sweep.worker import train_cell
from tests.conftest import composed, tiny_cell
from tests.sweep.test_progress import write_history, write_metrics


def text(shown: RenderableType) -> list[str]:
    out = StringIO()
    Console(file=out, width=400).print(shown)
    return out.getvalue().splitlines()


def row(lines: list[str], folder: str) -> str:
    (one,) = [line for line in lines if line.rstrip("│ ").endswith(f"│ {folder}")]
    return one


def done(cell: Cell, epoch: float) -> Cell:
    """The cell, trained in so many seconds an epoch."""
    cell.claim()
    write_metrics(cell.folder, 0.5, epochs=int(cell.config["epochs"]), seconds=epoch)
    return cell


def test_every_cell_says_where_it_begins_and_how_long_it_takes(tmp_path: Path) -> None:
    layer = ("norm=layer", "scheduler=constant")
    finished = done(tiny_cell(tmp_path / "done", *layer), 60.0)
    begun = tiny_cell(tmp_path / "begun", "norm=instance", "epochs=5")
    write_history(begun.folder, [0.1, 0.2], 20.0)
    short, long = (tiny_cell(tmp_path / f"e{n}", *layer, f"epochs={n}") for n in (3, 7))
    broken = tiny_cell(tmp_path / "broken", "loss=dice")
    broken.found().keep_failure("no memory [1]")
    lines = text(plan([finished, begun, short, long, broken]))
    assert "│ finished " in row(lines, "done")
    assert "0:" not in row(lines, "done")
    # start and scoring are 3 s, as in the one that is done
    assert "resumes after epoch 2" in row(lines, "begun")
    assert "│ 3        │ 0:01:03 " in row(lines, "begun")
    assert "continues from done" in row(lines, "e3")
    assert "│ 1        │ 0:01:03 " in row(lines, "e3")
    assert "continues from e3" in row(lines, "e7")
    assert "│ 4        │ 0:04:03 " in row(lines, "e7")
    assert "to train; failed before: no memory [1]" in row(lines, "broken")
    assert "│ 2        │ 0:01:23 " in row(lines, "broken")  # the mean of all
    assert lines[-1] == "4 of 5 cells to train, 10 epochs, about 0:07:32"


def test_a_cell_of_an_earlier_command_is_continued_and_tells_the_time(tmp_path: Path) -> None:
    short, long = (tiny_cell(tmp_path / f"e{n}", f"epochs={n}") for n in (2, 6))
    manifest.write([done(short, 60.0)])
    lines = text(plan([long], finished_in(tmp_path)))
    assert "continues from e2" in row(lines, "e6")
    # of 2 epochs the last decays
    assert lines[-1] == "1 of 1 cells to train, 5 epochs, about 0:05:03"


def test_where_the_schedule_depends_on_the_epochs_nothing_is_continued(tmp_path: Path) -> None:
    cells = [tiny_cell(tmp_path / f"e{n}", f"epochs={n}", "scheduler=cosine") for n in (2, 6)]
    lines = text(plan(cells))
    assert "│ to train " in row(lines, "e6")
    unknown = "2 of 2 cells to train, 8 epochs; time unknown until an epoch of some cell is trained"
    assert lines[-1] == unknown
    assert "│ unknown │" in row(lines, "e6")


def test_where_all_is_done_no_time_is_left(tmp_path: Path) -> None:
    cell = done(tiny_cell(tmp_path / "done"), 1.0)
    assert text(plan([cell]))[-1] == "0 of 1 cells to train, 0 epochs, about 0:00:00"


def test_precision_auto_is_what_the_folder_has(tmp_path: Path) -> None:
    trained = done(tiny_cell(tmp_path / "e2", "trainer.precision=bf16-mixed"), 1.0)
    same, longer = tiny_cell(tmp_path / "e2"), tiny_cell(tmp_path / "e4", "epochs=4")
    assert same.config["trainer"]["precision"] == "auto"
    lines = text(plan([same, longer], [trained]))
    assert "│ finished " in row(lines, "e2")
    assert "continues from e2" in row(lines, "e4")


@pytest.mark.parametrize("sweep", [True, False], ids=["sweep", "single"])
def test_a_folder_of_another_configuration_is_refused(
    sweep: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done(tiny_cell(tmp_path / "cell"), 1.0)
    other = composed(tmp_path / "cell", "batch_size=2", "plan=true")
    message = r"holds another configuration \(batch_size: 4 -> 2"
    if sweep:
        with pytest.raises(ValueError, match=message):
            launch([other], jobs=1)
        return
    other.hydra.mode = RunMode.RUN
    HydraConfig.instance().set_config(other)
    with pytest.raises(SystemExit, match="1"):
        train_cell(other)
    assert re.search(message, caplog.text)


def test_planning_imports_no_torch_starts_no_process_and_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import multiprocessing, pickle, subprocess, sys\n"
        "config = pickle.load(sys.stdin.buffer)\n"
        "from hydra.core.hydra_config import HydraConfig\n"
        "from brainseg.sweep.launch import launch\n"
        "from brainseg.sweep.worker import train_cell\n"
        "def refuse(*_, **__): raise AssertionError('a process')\n"
        "multiprocessing.get_context = subprocess.Popen = refuse\n"
        "HydraConfig.instance().set_config(config)\n"
        "print(launch([config], 1), train_cell(config), 'torch' in sys.modules)\n"
    )
    config = pickle.dumps(composed(tmp_path / "cell", "plan=true"))
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, input=config, capture_output=True, check=True)
    assert ended.stdout == b"[None] None False\n"
    assert list(tmp_path.iterdir()) == []
