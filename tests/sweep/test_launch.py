import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brainseg import cores, hardware
from brainseg.runs.folder import LAST, RunFolder
from brainseg.sweep.end import Watch, conclude
from brainseg.sweep.launch import _next, _slots, launch
from brainseg.sweep.process import Child, Slot
from brainseg.sweep.worker import Turn
from brainseg.train import write_report
from brainseg.training.fit import fit
from tests.conftest import composed, tiny_cell
from tests.sweep.test_progress import write_metrics


def run_sweep(sweep: Path, cells: Mapping[str, Sequence[str]], jobs: int | str = 1) -> int:
    """What the command does, for cells with these names and overrides."""
    configs = [composed(sweep / name, *overrides) for name, overrides in cells.items()]
    Watch.sweep = sweep
    launch(configs, jobs)
    return conclude()


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
    asked = {loss: [f"loss={loss}", "epochs=30"] for loss in ("bce", "dice")}
    cells = [tiny_cell(tmp_path / "sweep" / name, *words) for name, words in asked.items()]
    kill_the_first_child(signal.SIGKILL, (cells[0].folder / LAST).exists)
    assert run_sweep(tmp_path / "sweep", asked) == 1
    assert not cells[0].finished
    assert "SIGKILL" in (cells[0].found().failure or "")
    assert cells[1].finished
    assert "1 of 2 cells failed: bce" in caplog.text
    assert run_sweep(tmp_path / "sweep", asked) == 0
    assert cells[0].finished
    assert "resumes after its last whole epoch" in (cells[0].folder / "train.log").read_text()
    assert "dice  finished before, skipped" in caplog.text


def test_the_report_of_a_sweep_logs_its_answer_or_why_there_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sweep = tmp_path / "sweep"
    asked = {norm: [f"norm={norm}", "trainer.precision=32-true"] for norm in ("batch", "layer")}
    cells = [tiny_cell(sweep / norm, *words) for norm, words in asked.items()]
    for cell in cells:
        fit(cell, title=cell.folder.name)
    assert write_report(sweep, "the command")
    assert "Chosen on validation: " in caplog.text
    page = (sweep / "report/report.html").read_text(encoding="utf-8")
    assert "Chosen on validation: " in page
    for cell in cells:
        (cell.folder / "patients.csv").write_text("patient\n")
    assert not write_report(sweep, "the command")
    assert "there is no report: " in caplog.text


def test_two_cells_never_share_a_folder(tmp_path: Path) -> None:
    configs = [composed(tmp_path / "same"), composed(tmp_path / "same", "optimizer.lr=0.5")]
    with pytest.raises(ValueError, match=r"two cells would share .*same: optimizer.lr"):
        launch(configs, jobs=1)
    assert not (tmp_path / "same").exists()


@pytest.mark.slow
def test_a_cell_that_hangs_is_stopped_at_its_limit_and_costs_only_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    hang = "+callbacks.hang={_target_: time.sleep, _args_: [1000]}"
    sweep = tmp_path / "sweep"
    assert run_sweep(sweep, {"hung": [hang, "limit=0.002"], "sound": ["epochs=1"]}) == 1
    assert RunFolder(sweep / "sound").state == "finished"
    assert "took longer than limit=0.002 hours" in RunFolder(sweep / "hung").reason
    assert "1 of 2 cells failed: hung" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_longer_cells_come_last_and_continue_shorter_ones_whatever_the_order_given(
    jobs: int, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    assert run_sweep(sweep, {f"e{n}": [f"epochs={n}"] for n in (3, 2)}, jobs) == 0
    assert "continues e2 after epoch 1" in (sweep / "e3/train.log").read_text()
    assert len(RunFolder(sweep / "e3").history) == 3
    assert run_sweep(sweep, {"e4": ["epochs=4"]}) == 0
    assert "continues e3 after epoch 2" in (sweep / "e4/train.log").read_text()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def shared_memory() -> int:
    return Path("/proc/self/maps").read_text().count("/dev/shm/")  # that of other processes aside


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_twenty_cells_leave_nothing_behind_and_the_last_needs_no_more_than_the_first(
    tmp_path: Path,
) -> None:
    def peak(name: str) -> float:
        return float(RunFolder(sweep / name).required_metrics["peak_memory_mb"]["host"])

    def parent() -> int:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages)

    sweep = tmp_path / "sweep"
    asked = {str(n): ["epochs=1", f"seed={n}"] for n in range(20)}
    assert run_sweep(sweep, {"0": asked["0"]}) == 0
    files, shared, pages = open_files(), shared_memory(), parent()
    assert run_sweep(sweep, asked) == 0
    assert open_files() <= files
    assert shared_memory() <= shared
    assert cells_processes() == []
    assert parent() <= 1.05 * pages
    peaks = [peak(name) for name in asked]
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


@pytest.mark.slow
def test_cells_side_by_side_share_the_cores_and_a_cell_asked_for_twice_is_trained_once(
    tmp_path: Path,
) -> None:
    names = ("a", "b", "b")
    configs = [composed(tmp_path / "sweep" / n, "epochs=1", "loss=bce") for n in names]
    dice = launch(configs, jobs=2)
    assert dice[1] == dice[2]
    for name in ("a", "b"):
        run = RunFolder(tmp_path / "sweep" / name)
        assert run.dice is not None
        share = max(1, cores.cores() // 2)
        assert run.required_metrics["hardware"]["torch_threads"] <= share
        assert (run.path / "train.log").read_text().count("epoch 1 of 1") == 1


def test_as_many_cells_as_cards_or_cores_and_memory_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [tiny_cell(tmp_path / "a")]
    monkeypatch.setattr(cores, "cores", lambda: 8)
    monkeypatch.setattr(hardware, "free_memory", lambda: 100_000.0)
    assert _slots(cells, 1, []) == [Slot()]
    assert _slots(cells, "auto", []) == [Slot(1)] * 8
    assert _slots(cells, "auto", ["0", "GPU-5"]) == [Slot(4, "0"), Slot(4, "GPU-5")]
    assert _slots(cells, 3, ["0", "1"]) == [Slot(2, "0"), Slot(2, "1"), Slot(2, "0")]
    monkeypatch.setattr(hardware, "free_memory", lambda: 7_000.0)
    assert len(_slots(cells, "auto", [])) == 2  # of 3 GB each
    write_metrics(tmp_path / "done", 0.5, epochs=2, seconds=1.0, memory=6_000.0)
    tiny_cell(tmp_path / "done").claim()
    assert len(_slots(cells, "auto", [])) == 1


def test_a_longer_cell_waits_for_the_shorter_one_that_it_continues(tmp_path: Path) -> None:
    short, long = (tiny_cell(tmp_path / f"e{n}", f"epochs={n}") for n in (2, 3))
    other = tiny_cell(tmp_path / "other", "epochs=3", "seed=1")
    assert _next([short, long, other], []) is short
    assert _next([long, other], [short]) is other
    assert _next([long], [short]) is None
    assert _next([long], []) is long


def test_a_forced_cell_that_dies_before_it_claims_its_folder_leaves_no_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_cell(tmp_path / "cell").claim()
    forced = tiny_cell(tmp_path / "cell", "batch_size=2", "force=true")

    class Dead(Child):
        def __init__(self) -> None:
            self.cell, self.turn, self._end = forced, Turn("cell 1 of 1"), None
            self._process = SimpleNamespace(is_alive=lambda: False)  # type: ignore[assignment]

        def stop(self) -> int:
            return -9

    Dead().finish()
    assert "cell 1 of 1  failed: killed by SIGKILL; often out of memory" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["cell"]
    assert RunFolder(tmp_path / "cell").state == "new"


@pytest.mark.parametrize("jobs", [0, -1, True, "many", 1.5, None])
def test_the_launcher_s_own_jobs_are_checked_too(jobs: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"hydra\.launcher\.jobs={jobs} must be auto or"):
        launch([composed(tmp_path / "a")], jobs)


@pytest.mark.parametrize("word", ["jobs={}", "workers={}", "data.root=/scans/{}", "limit={}"])
def test_what_makes_no_other_cell_cannot_be_swept(word: str, tmp_path: Path) -> None:
    cells = [composed(tmp_path / "same", word.format(value)) for value in (1, 2)]
    key = word.partition("=")[0]
    with pytest.raises(ValueError, match=rf"share .*same: {key}: .*1 -> .*2; .*cannot be swept"):
        launch(cells, 1)
    assert not (tmp_path / "same").exists()
