import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brainseg.files import held
from brainseg.logs import clock
from brainseg.runs.folder import FAILED, HISTORY, LAST, METRICS
from brainseg.sweep.manifest import Listed, Manifest, read, write
from brainseg.sweep.progress import Progress, progress, seconds_left
from brainseg.training.fit import fit
from tests.conftest import tiny_cell

SPLIT = {"leaky": False, "members": {"train": ["a"], "val": ["b"], "test": ["c"]}}
CELL = Listed("batch", "bce", 4, 0)
HOLD = (
    "import filelock, sys; l = filelock.FileLock(sys.argv[1]); l.acquire(); print('held'); input()"
)


@contextmanager
def held_by_another(lock: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def write_history(folder: Path, dice: list[float], seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{n},{value},{seconds}" for n, value in enumerate(dice, 1)]
    (folder / HISTORY).write_text("\n".join(["epoch,val/dice,seconds", *rows, ""]))


def write_metrics(
    folder: Path, dice: float, epochs: int, seconds: float, memory: float = 0.0
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        "scores": {"best": {part: {"dice": dice} for part in ("train", "val", "test")}},
        "best_epoch": 2,
        "epochs": epochs,
        "seed": 0,
        "seconds": {"epochs": epochs * seconds, "start": 1.0, "scoring": 2.0},
        "split": SPLIT,
        "data": {"fingerprint": "f"},
        "peak_memory_mb": {"host": memory, "gpu": 0.0},
    }
    (folder / METRICS).write_text(json.dumps(metrics))


def only(folder: Path) -> Progress:
    (one,) = progress(Manifest(folder.parent, "", {folder.name: CELL}))
    return one


def test_a_cell_not_begun_is_new(tmp_path: Path) -> None:
    assert only(tmp_path / "cell") == Progress("cell", CELL, "new")


def test_a_trained_cell_is_done_with_the_scores_of_its_metrics(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "sweep" / "cell")
    write([cell])
    dice = fit(cell, title="cell")
    (one,) = progress(read(cell.folder.parent))
    metrics = json.loads((cell.folder / METRICS).read_text())
    assert (one.state, one.epoch, one.best) == ("finished", 2, dice)
    assert one.per_epoch == pytest.approx(metrics["seconds"]["epochs"] / 2)


def test_a_cell_whose_lock_is_held_is_running_and_interrupted_once_its_process_is_killed(
    tmp_path: Path,
) -> None:
    folder, lock = tmp_path / "cell", tmp_path / ".cell.lock"
    write_history(folder, [0.5, 0.75, 0.625], 8.0)
    with held_by_another(lock) as process:
        (folder / FAILED).write_text('{"reason": "of the try before"}')
        now = only(folder)
        assert now.state == "running"
        assert (now.epoch, now.dice, now.best, now.per_epoch) == (3, 0.625, 0.75, 8.0)
        (folder / FAILED).unlink()
        process.kill()
        process.wait()
        assert only(folder).state == "interrupted"


def test_asking_leaves_no_lock_behind(tmp_path: Path) -> None:
    lock = tmp_path / ".cell.lock"
    assert not held(lock)
    assert not lock.exists()
    lock.touch()
    assert not held(lock)
    with held_by_another(lock):  # as it can be taken at once
        assert held(lock)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_lock_that_may_only_be_read_can_be_asked(tmp_path: Path) -> None:
    lock = tmp_path / ".cell.lock"
    with held_by_another(lock):
        lock.chmod(0o444)
        assert held(lock)


def test_a_cell_with_a_checkpoint_alone_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "cell" / LAST).parent.mkdir(parents=True)
    (tmp_path / "cell" / LAST).touch()
    assert only(tmp_path / "cell").state == "interrupted"


def test_a_failed_cell_says_why(tmp_path: Path) -> None:
    write_history(tmp_path / "cell", [0.5], 1.0)
    (tmp_path / "cell" / FAILED).write_text('{"reason": "no memory"}')
    one = only(tmp_path / "cell")
    assert (one.state, one.reason, one.epoch) == ("failed", "no memory", 1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (METRICS, "{"),
        (METRICS, "[]"),
        (METRICS, "{}"),
        (METRICS, '{"epochs": 0, "seconds": {"epochs": 1}}'),
        (METRICS, '{"split": {"leaky": true}}'),
        (FAILED, "{"),
        (FAILED, '"why"'),
        (HISTORY, "epoch\n1\n"),
        (HISTORY, "epoch,val/dice,seconds\n1,0.5\n"),
        (HISTORY, "epoch,val/dice,seconds\n1,high,2\n"),
    ],
)
def test_a_broken_file_of_a_cell_is_named_in_one_line(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / name).write_text(text)
    cell = only(tmp_path / "cell")
    assert cell.state == "broken"
    assert f"cell/{name} is broken" in cell.reason
    assert "\n" not in cell.reason


def dice_cell(name: str, state: str, **known: float) -> Progress:
    return Progress(name, Listed("batch", "dice", 10, 0), state, **known)  # type: ignore[arg-type]


def test_time_left_is_epochs_left_times_seconds_of_the_same_norm_and_loss_plus_the_rest() -> None:
    slow = Listed("layer2d", "bce", 10, 0)
    cells = [
        dice_cell("a", "finished", epoch=10, per_epoch=2.0, outside=5.0),
        Progress("b", slow, "running", epoch=4, per_epoch=3.0),
        dice_cell("c", "new"),
        Progress("d", slow, "new"),
    ]
    # b: 6 epochs of 3 s, c: 10 of 2 s, d: 10 of 3 s; start and scoring as in a
    assert seconds_left(cells) == 6 * 3 + 10 * 2 + 10 * 3 + 3 * 5


def test_cells_that_run_side_by_side_share_what_waits() -> None:
    cells = [
        dice_cell("a", "finished", epoch=10, per_epoch=2.0, outside=0.0),
        dice_cell("b", "running", epoch=9, per_epoch=2.0),
        dice_cell("c", "running", epoch=2, per_epoch=2.0),
        dice_cell("d", "new"),
    ]
    assert seconds_left(cells) == 1 * 2 + 10 * 2  # d after b, while c has 16 s
    assert seconds_left(cells[:-1]) == 8 * 2


def test_time_left_of_a_norm_never_measured_is_the_mean_of_what_is_known() -> None:
    cells = [
        dice_cell("a", "finished", epoch=10, per_epoch=2.0, outside=0.0),
        Progress("b", Listed("layer", "iou", 10, 0), "finished", 10, per_epoch=4.0, outside=0.0),
        Progress("c", Listed("group", "bce", 10, 0), "new"),
    ]
    assert seconds_left(cells) == 10 * 3


def test_failed_cells_take_no_time_and_unknown_is_none() -> None:
    assert seconds_left([dice_cell("a", "failed")]) == 0
    assert seconds_left([dice_cell("a", "new")]) is None


def test_a_cell_that_continues_a_shorter_one_takes_the_difference() -> None:
    def longer(**known: float) -> Progress:
        cell = Listed("batch", "dice", 25, 0, continues="a", begins=7)
        return Progress("b", cell, "new", **known)  # type: ignore[arg-type]

    done = dice_cell("a", "finished", epoch=10, per_epoch=2.0, outside=0.0)
    failed = dice_cell("a", "failed", epoch=10, per_epoch=2.0, outside=0.0)
    assert seconds_left([done, longer()]) == 18 * 2  # of its 10 the last 3 saw their end
    assert seconds_left([failed, longer()]) == 25 * 2
    assert seconds_left([done, longer(epoch=20, per_epoch=2.0)]) == 5 * 2


def test_clock_shows_hours_minutes_seconds() -> None:
    assert [clock(s) for s in (0, 59.6, 3599, 100_000)] == [
        "0:00:00",
        "0:01:00",
        "0:59:59",
        "27:46:40",
    ]
