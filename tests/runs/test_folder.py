import json
from pathlib import Path

import pytest

from brainseg.runs.folder import FAILED, HISTORY, LAST, METRICS, RunFolder
from tests.conftest import tiny_cell
from tests.sweep.test_progress import SPLIT, held_by_another, write_history, write_metrics


def test_a_folder_is_new_then_interrupted_then_failed_then_finished(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "run")
    assert RunFolder(cell.folder).state == "new"
    cell.claim()
    assert RunFolder(cell.folder).state == "new"
    write_history(cell.folder, [0.5], 1.0)
    assert RunFolder(cell.folder).state == "interrupted"
    RunFolder(cell.folder).keep_failure("no memory")
    assert RunFolder(cell.folder).state == "failed"
    assert RunFolder(cell.folder).reason == "no memory"
    with held_by_another(RunFolder(cell.folder).lock):
        assert RunFolder(cell.folder).state == "running"
    write_metrics(cell.folder, 0.75, epochs=2, seconds=1.0)
    found = RunFolder(cell.folder)
    assert (found.state, found.dice, found.reason) == ("finished", 0.75, "")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (METRICS, "delete metrics.json and give the run's command again"),
        (FAILED, "delete it"),
        (HISTORY, "move .*run away"),
        (".hydra/config.yaml", "move .*run away"),
        (".hydra/hydra.yaml", "move .*run away"),
    ],
)
def test_a_broken_file_makes_it_broken_and_is_named_with_what_to_do(
    name: str, remedy: str, tmp_path: Path
) -> None:
    cell = tiny_cell(tmp_path / "run")
    cell.claim()
    (cell.folder / name).write_text("half: [")
    found = RunFolder(cell.folder)
    assert found.state == "broken"
    assert "\n" not in found.reason
    with pytest.raises(ValueError, match=rf"run/{name} is broken \(.*\); {remedy}"):
        raise ValueError(found.reason)


def test_a_file_is_read_once_and_another_look_is_another_object(tmp_path: Path) -> None:
    write_metrics(tmp_path / "run", 0.25, epochs=2, seconds=1.0)
    first = RunFolder(tmp_path / "run")
    assert first.dice == 0.25
    write_metrics(tmp_path / "run", 0.75, epochs=2, seconds=1.0)
    assert first.dice == 0.25
    assert RunFolder(tmp_path / "run").dice == 0.75


def test_the_split_of_the_first_versions_is_read_in_today_s_form(tmp_path: Path) -> None:
    write_metrics(tmp_path / "run", 0.5, epochs=2, seconds=1.0)
    path = tmp_path / "run" / METRICS
    metrics = json.loads(path.read_text())
    flat = {"leaky": False, **SPLIT["members"]}  # type: ignore[dict-item]
    path.write_text(json.dumps(metrics | {"split": flat}))
    assert RunFolder(tmp_path / "run").required_metrics["split"] == SPLIT | {"persons": {}}


def test_what_is_no_finished_run_says_what_it_is_and_what_to_give(tmp_path: Path) -> None:
    write_metrics(tmp_path / "sweep/cell", 0.5, epochs=2, seconds=1.0)
    begun = tiny_cell(tmp_path / "begun")
    begun.claim()
    (begun.folder / LAST).parent.mkdir()
    (begun.folder / LAST).touch()
    for folder, said in (
        ("nowhere", "is no folder; give that of a finished run"),
        ("sweep/cell/metrics.json", "is no folder; give that of a finished run"),
        ("sweep", "is a sweep; give one of its 1 finished cells, such as cell"),
        ("begun", "is not finished; give the command that trained it again"),
        (".", "is no run folder: it has no metrics.json"),
    ):
        with pytest.raises(ValueError, match=said):
            _ = RunFolder(tmp_path / folder).required_metrics
