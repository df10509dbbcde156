import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from brainseg.runs.cell import Cell, finished_in
from brainseg.runs.checkpoint import load_checkpoint
from brainseg.runs.folder import BEST, LAST, RunFolder
from brainseg.training.fit import fit
from tests.conftest import assert_same_outcome, history, tiny_cell
from tests.test_survival import DROPOUT, NEVER_BETTER

CONSTANT = "scheduler=constant"
AVERAGED = [CONSTANT, "callbacks.average.decay=0.9"]


def sibling(folder: Path, *options: str) -> Cell:
    cell = tiny_cell(folder, *options)
    fit(cell, title=folder.name)
    return cell


def epochs_trained(patch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    patch.setattr(
        "brainseg.module.SegmentationModule.on_train_epoch_end",
        lambda self: seen.append(self.current_epoch + 1),
    )
    return seen


@pytest.mark.parametrize(
    "options",
    [
        [CONSTANT, DROPOUT],
        ["scheduler=plateau", "scheduler.patience=0", "optimizer.lr=0.01"],
        [CONSTANT, "callbacks=early_stopping", "callbacks.early_stopping.patience=9"],
        AVERAGED,
    ],
    ids=["constant", "plateau", "early stopping", "averaged"],
)
def test_a_longer_cell_continues_its_shorter_sibling_bit_for_bit(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = sibling(tmp_path / "short", "epochs=3", *options)
    scratch = sibling(tmp_path / "scratch", "epochs=5", *options)
    longer = tiny_cell(tmp_path / "longer", "epochs=5", *options)
    trained = epochs_trained(monkeypatch)
    fit(longer, title="longer", shorter=longer.shorter([short]))
    assert trained == [4, 5]
    assert_same_outcome(scratch, longer)
    assert load_checkpoint(longer.folder / BEST)["config"]["epochs"] == 5
    assert load_checkpoint(longer.folder / LAST)["config"]["epochs"] == 5
    before, after = (RunFolder(cell.folder).required_metrics["seconds"] for cell in (short, longer))
    assert after["epochs"] > before["epochs"]
    assert after["start"] > 0


def test_before_the_rate_decays_a_shorter_sibling_is_continued_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["scheduler.decay=0.5", "callbacks.average.decay=0.9", DROPOUT]
    short = sibling(tmp_path / "short", "epochs=4", *options)
    scratch = sibling(tmp_path / "scratch", "epochs=7", *options)
    longer = tiny_cell(tmp_path / "longer", "epochs=7", *options)
    assert longer.epochs_left([short]) == 5
    trained = epochs_trained(monkeypatch)
    fit(longer, title="longer", shorter=longer.shorter([short]))
    assert trained == [3, 4, 5, 6, 7]
    assert_same_outcome(scratch, longer)


def test_what_decays_from_the_first_epoch_has_nothing_in_common(tmp_path: Path) -> None:
    short = tiny_cell(tmp_path / "short", "epochs=1")
    longer = tiny_cell(tmp_path / "long", "epochs=4")
    assert longer.shorter([short]) is None
    assert longer.epochs_left([short]) == 4


def test_a_sibling_that_stopped_early_passes_its_result_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = sibling(tmp_path / "short", "epochs=4", *NEVER_BETTER)
    scratch = sibling(tmp_path / "scratch", "epochs=6", *NEVER_BETTER)
    longer = tiny_cell(tmp_path / "longer", "epochs=6", *NEVER_BETTER)
    trained = epochs_trained(monkeypatch)
    fit(longer, title="longer", shorter=longer.shorter([short]))
    assert trained == []
    assert_same_outcome(scratch, longer)
    assert load_checkpoint(longer.folder / LAST)["config"]["epochs"] == 6


def test_the_sibling_with_the_most_epochs_below_is_continued(tmp_path: Path) -> None:
    cells = [tiny_cell(tmp_path / str(n), f"epochs={n}") for n in (1, 3, 5, 7)]
    found = tiny_cell(tmp_path / "5", "epochs=5").shorter(cells)
    assert found is not None
    assert found.config["epochs"] == 3
    assert tiny_cell(tmp_path / "1", "epochs=1").shorter(cells) is None


@pytest.mark.parametrize(
    "options",
    [["scheduler=cosine"], ["scheduler=onecycle"], ["optimizer.lr=0.5"], ["seed=1"]],
    ids=lambda options: options[0],
)
def test_another_schedule_or_setting_is_never_continued(options: list[str], tmp_path: Path) -> None:
    short = tiny_cell(tmp_path / "short", "epochs=2", *(o for o in options if "scheduler" in o))
    assert tiny_cell(tmp_path / "long", "epochs=4", *options).shorter([short]) is None


@pytest.mark.parametrize("change", ["versions", "source", "split", "last", "best"])
def test_a_sibling_of_other_code_or_scans_is_left_alone_with_a_word(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    short = sibling(tmp_path / "short", "epochs=1", CONSTANT)
    if change == "versions":
        path = short.folder / "metrics.json"
        metrics = json.loads(path.read_text())
        path.write_text(json.dumps(metrics | {"versions": {"torch": "1.0"}}))
    elif change == "source":  # as before it was recorded
        path = short.folder / "metrics.json"
        metrics = json.loads(path.read_text())
        del metrics["source"]
        path.write_text(json.dumps(metrics))
    elif change == "split":
        (short.folder / "split.json").write_text("{}")
    elif change == "last":
        (short.folder / "checkpoints/last.ckpt").unlink()
    else:
        (short.folder / "checkpoints/best.ckpt").write_bytes(b"half")
    trained = epochs_trained(monkeypatch)
    fit(tiny_cell(tmp_path / "long", "epochs=2", CONSTANT), title="long", shorter=short)
    assert trained == [1, 2]
    assert "trains from scratch: short " in caplog.text


def test_a_commit_that_leaves_the_code_alone_does_not_forbid_continuing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = sibling(tmp_path / "short", "epochs=1", CONSTANT)
    path = short.folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"git": "another"}))
    trained = epochs_trained(monkeypatch)
    fit(tiny_cell(tmp_path / "long", "epochs=2", CONSTANT), title="long", shorter=short)
    assert trained == [2]


def test_tensorboard_shows_a_continued_cell_s_own_settings_and_its_curves_from_there_on(
    tmp_path: Path,
) -> None:
    short = sibling(tmp_path / "short", "epochs=2", CONSTANT)
    longer = tiny_cell(tmp_path / "longer", "epochs=4", CONSTANT)
    fit(longer, title="longer", shorter=short)
    events = EventAccumulator(str(longer.folder / "tensorboard")).Reload()
    curve = [event.value for event in events.Scalars("val/dice")]
    assert len(history(longer)) == 4
    assert curve == pytest.approx(list(history(longer)["val/dice"])[2:])
    start = events.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    told = plugin_data_pb2.HParamsPluginData.FromString(start).session_start_info.hparams
    assert told["epochs"].number_value == 4
    assert len(events.Scalars("hp/test_dice")) == 2  # announced, then measured


def test_finished_cells_of_earlier_commands_are_found_on_disk(tmp_path: Path) -> None:
    short = sibling(tmp_path / "short", "epochs=2")
    (tmp_path / "empty").mkdir()
    (found,) = finished_in(tmp_path)
    assert found.folder == short.folder
    assert tiny_cell(tmp_path / "long", "epochs=3").shorter([found]) is found
