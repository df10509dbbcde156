import json
from pathlib import Path

import pytest

from brainseg.report.gather import read
from tests.report.synthetic import result, sweep, write

AXES = {"norm": ["batch", "group"], "seed": [0]}


def test_every_finished_cell_is_read(tmp_path: Path) -> None:
    made = sweep(AXES)
    found = read([write(made, tmp_path / "toy")])
    assert [each.name for each in found.results] == ["batch-0", "group-0"]
    dice = found.results[0].by_patient()
    assert dice.to_dict() == pytest.approx(made[0].by_patient().to_dict())
    assert found.absent == []
    assert found.commands == ["python -m brainseg.train -m name=toy"]


def test_a_cell_that_never_began_is_listed(tmp_path: Path) -> None:
    found = read([write(sweep(AXES), tmp_path / "toy", listed=["layer-0"])])
    assert [(each.name, each.state) for each in found.absent] == [("layer-0", "new")]
    assert found.absent[0].reason == "0 of 9 epochs trained"


def test_a_failed_cell_is_listed_with_its_reason(tmp_path: Path) -> None:
    folder = write(sweep(AXES), tmp_path / "toy", listed=["layer-0"])
    (folder / "layer-0").mkdir()
    (folder / "layer-0/failed.json").write_text(json.dumps({"reason": "out of memory"}))
    found = read([folder])
    assert [(each.state, each.reason) for each in found.absent] == [("failed", "out of memory")]


@pytest.mark.parametrize(
    ("file", "content", "word"),
    [
        ("metrics.json", "{", "metrics.json is broken"),
        ("metrics.json", "{}", "metrics.json is broken"),
        ("metrics.json", '"text"', "metrics.json is broken"),
        ("patients.csv", None, "no patients.csv; move the folder away"),
        ("patients.csv", "", "No columns"),
        ("history.csv", "epoch,val/dice,seconds\n1,0.5,1\n1,0.6,1\n", "an epoch twice"),
        ("history.csv", "epoch,seconds\n1,1\n", "no 'val/dice'"),
        ("patients.csv", "checkpoint,split\nbest,test\n", "lacks the column patient"),
        (".hydra/config.yaml", "a: [", "expected"),
    ],
)
def test_a_broken_cell_is_listed_in_one_line_and_costs_only_itself(
    file: str, content: str | None, word: str, tmp_path: Path
) -> None:
    folder = write(sweep(AXES), tmp_path / "toy")
    broken = folder / "group-0" / file
    broken.unlink() if content is None else broken.write_text(content)
    found = read([folder])
    assert [each.name for each in found.results] == ["batch-0"]
    (absent,) = found.absent
    assert (absent.name, absent.state) == ("group-0", "broken")
    assert "\n" not in absent.reason
    assert word in absent.reason or file.startswith(".hydra")


def test_scores_of_another_cell_are_noticed(tmp_path: Path) -> None:
    folder = write(sweep(AXES), tmp_path / "toy")
    other = (folder / "batch-0/patients.csv").read_text()
    (folder / "group-0/patients.csv").write_text(other)
    (absent,) = read([folder]).absent
    assert "is not that of metrics.json" in absent.reason


def test_a_number_that_is_not_finite_is_noticed(tmp_path: Path) -> None:
    folder = write(sweep(AXES), tmp_path / "toy")
    path = folder / "group-0/metrics.json"
    metrics = json.loads(path.read_text())
    metrics["scores"]["best"]["val"]["dice"] = float("nan")
    path.write_text(json.dumps(metrics))
    (absent,) = read([folder]).absent
    assert "not finite" in absent.reason


def test_two_cells_with_one_name_are_refused(tmp_path: Path) -> None:
    folders = [write(sweep(AXES), tmp_path / name) for name in ("one", "two")]
    with pytest.raises(ValueError, match=r"have one name, so they are one cell") as refused:
        read(folders)
    assert "\n" not in str(refused.value)


def test_a_sweep_given_twice_is_refused(tmp_path: Path) -> None:
    folder = write(sweep(AXES), tmp_path / "one")
    with pytest.raises(ValueError, match="one is given twice; name each sweep once"):
        read([folder, folder / ".." / "one"])


def test_two_cells_with_the_same_settings_are_refused(tmp_path: Path) -> None:
    first = result({"norm": "batch"}, {"val": [0.5], "test": [0.5]})
    twin = type(first)(
        "twin", first.config, first.choices, first.metrics, first.patients, first.history
    )
    with pytest.raises(ValueError, match=r"twin and batch|batch and twin"):
        read([write([first, twin], tmp_path / "toy")])


def test_a_folder_that_is_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds neither sweep\.json nor"):
        read([tmp_path])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read([tmp_path / "nowhere"])
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match="file is no folder"):
        read([tmp_path / "file"])


def test_a_single_run_is_a_sweep_of_one(tmp_path: Path) -> None:
    folder = write(sweep(AXES), tmp_path / "toy")
    assert [each.name for each in read([folder / "group-0"]).results] == ["group-0"]


def test_a_folder_of_an_older_version_is_read_and_said_so(tmp_path: Path) -> None:
    folder = write(sweep(AXES), tmp_path / "toy")
    (folder / "sweep.json").unlink()
    found = read([folder])
    assert len(found.results) == 2
    assert "has no sweep.json" in found.notes[0]


def test_a_folder_kept_aside_is_not_read(tmp_path: Path) -> None:
    folder = write(sweep(AXES), tmp_path / "toy")
    (folder / "group-0").rename(folder / "group-0.17.old")
    found = read([folder])
    assert [each.name for each in found.results] == ["batch-0"]
    assert [each.name for each in found.absent] == ["group-0"]
