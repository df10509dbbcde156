import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brainseg.data.cache import Scans
from brainseg.data.phantom import Phantom
from brainseg.evaluate import evaluation
from brainseg.evaluate.calibration import CANDIDATES
from brainseg.evaluate.evaluation import evaluate
from brainseg.evaluate.overlap import NAMES
from brainseg.evaluate.request import Request
from brainseg.evaluate.trained import Trained, open_run
from brainseg.inference import volumes
from brainseg.runs.checkpoint import load_checkpoint
from brainseg.runs.folder import BEST, RunFolder
from tests.evaluate.conftest import Train, rename

COUNTS = ["slices", "tp", "predicted", "target", "pixels"]
SHARED = [*COUNTS, "dice", "iou", "precision", "recall", "accuracy"]
FIGURES = {
    "dice-histogram",
    "dice-by-size",
    "precision-recall",
    "reliability",
    "threshold",
    "patients-best",
    "patients-median",
    "patients-worst",
}


def card(folder: Path) -> dict[str, Any]:
    """What `card.json` says of the one region, and of the rest."""
    whole = json.loads((folder / "card.json").read_text())
    found: dict[str, Any] = whole | whole["regions"]["tumour"]
    assert whole["dice"] == found["overlap"]["patient"]["dice"]
    return found


def patients(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "patients.csv").set_index("patient")


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and "evaluate" not in path.parts
    }


@pytest.fixture(scope="module")
def tested(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    request = Request((run,), out=tmp_path_factory.mktemp("tested") / "out")
    evaluate(request)
    return request.folder


@pytest.mark.parametrize(
    ("split", "checkpoint"),
    [("test", "best"), ("val", "best"), ("train", "best"), ("test", "last")],
)
def test_scores_are_those_of_the_run_itself(
    run: Path, tmp_path: Path, split: str, checkpoint: str
) -> None:
    evaluate(Request((run,), split, checkpoint, out=tmp_path / "out"))
    own = pd.read_csv(run / "patients.csv")
    own = own[(own["checkpoint"] == checkpoint) & (own["split"] == split)].set_index("patient")
    found = patients(tmp_path / "out")
    pd.testing.assert_frame_equal(found[SHARED], own[SHARED], check_exact=True)
    expected = RunFolder(run).required_metrics["scores"][checkpoint][split]
    overlap = card(tmp_path / "out")["overlap"]["patient"]
    for name in ("dice", "iou", "precision", "recall", "accuracy"):
        assert overlap[name]["value"] == pytest.approx(expected[name], abs=1e-6)
    assert 0 < expected["dice"] < 1


def test_the_folder_is_that_of_split_and_checkpoint_and_the_run_is_left_alone(run: Path) -> None:
    before = everything(run)
    evaluate(Request((run,), "val", "last"))
    assert {path.name for path in (run / "evaluate" / "val-last").iterdir()} == {
        "card.json",
        "card.md",
        "patients.csv",
        "slices.csv",
        "figures",
    }
    assert everything(run) == before


def test_every_picture_is_written_and_shown_in_the_card(tested: Path) -> None:
    assert {path.stem for path in (tested / "figures").glob("*.png")} == FIGURES
    page = (tested / "card.md").read_text()
    assert "**Only 6 patients: intervals from so few are too narrow**" in page
    assert all(f"figures/{name}.png" in page for name in FIGURES)


def test_tables_hold_every_patient_and_slice_with_all_scores(run: Path, tested: Path) -> None:
    by_patient, by_slice = patients(tested), pd.read_csv(tested / "slices.csv")
    assert sorted(by_patient.index) == RunFolder(run).required_metrics["split"]["members"]["test"]
    assert by_patient["slices"].sum() == len(by_slice)
    more = {"hd95_px", "surface_dice", "volume_error", "lesions_true", "false_alarms"}
    assert {"institution", "missing", "part", *SHARED, *NAMES, *more} <= set(by_patient.columns)
    assert {"slice", *NAMES, "hd95_px", "surface_dice"} <= set(by_slice.columns)
    summed = by_slice.groupby("patient")[["tp", "predicted", "target", "pixels"]].sum()
    pd.testing.assert_frame_equal(
        summed, by_patient.sort_index()[["tp", "predicted", "target", "pixels"]]
    )


def test_scores_by_patient_follow_from_their_slices(tested: Path) -> None:
    by_patient, by_slice = patients(tested), pd.read_csv(tested / "slices.csv")
    tumour = by_slice[by_slice["target"] > 0].groupby("patient")
    for name in ("hd95_px", "surface_dice"):
        assert by_patient[name].to_dict() == pytest.approx(tumour[name].mean().to_dict(), rel=1e-5)
    empty = by_slice[by_slice["target"] == 0]
    alarms = int((empty["predicted"] > 0).sum())
    assert by_patient["false_alarms"].sum() == alarms
    rate = card(tested)["false_alarms"]["rate"]
    assert rate["value"] == pytest.approx(alarms / len(empty))
    error = (by_patient["predicted"] - by_patient["target"]) / by_patient["target"]
    assert by_patient["volume_error"].to_dict() == pytest.approx(error.to_dict(), rel=1e-5)


def test_every_score_stands_beside_that_of_predicting_nothing(tested: Path) -> None:
    found = card(tested)
    by_slice = pd.read_csv(tested / "slices.csv")
    empty = float((by_slice["target"] == 0).mean())
    assert found["overlap"]["patient"]["dice"]["nothing"] == 0
    assert found["overlap"]["slice_empty_1"]["dice"]["nothing"] == pytest.approx(empty)
    accuracy = 1 - by_slice["target"].sum() / by_slice["pixels"].sum()
    assert found["overlap"]["global"]["accuracy"]["nothing"] == pytest.approx(accuracy)
    assert found["surface"]["hd95_px"]["nothing"] == pytest.approx(32 * np.sqrt(2))
    assert found["volume"]["absolute_error"]["nothing"] == 1
    assert found["lesions"]["sensitivity"]["nothing"] == 0
    assert found["calibration"]["brier"]["nothing"] == pytest.approx(1 - accuracy)


def test_scores_have_intervals_that_hold_them(tested: Path) -> None:
    dice = card(tested)["overlap"]["patient"]["dice"]
    assert dice["low"] < dice["value"] < dice["high"]
    assert dice["patients"] == 6


def test_the_threshold_is_the_best_on_val_and_scored_on_test(run: Path, tested: Path) -> None:
    trained = open_run(run)
    scans = trained.scans()

    def mean_dice(part: str, threshold: float) -> float:
        rows = np.flatnonzero(scans.index["patient"].isin(trained.members[part]))
        each = [(v.probs > threshold, v.target) for v in volumes([(trained.model, scans)], rows)]
        return float(np.mean([2 * (p & t).sum() / (p.sum() + t.sum()) for p, t in each]))

    found = card(tested)["threshold"]
    assert found["val"] == pytest.approx([mean_dice("val", found["value"]), mean_dice("val", 0.5)])
    assert found["val"][0] >= max(mean_dice("val", t) for t in CANDIDATES[::20]) - 1e-6
    at_best, at_half = mean_dice("test", found["value"]), mean_dice("test", 0.5)
    assert found["scores"]["at_best"]["value"] == pytest.approx(at_best)
    assert found["scores"]["difference"]["value"] == pytest.approx(at_best - at_half, abs=1e-6)


def test_flips_change_the_scores_and_their_gain_has_an_interval(
    run: Path, tested: Path, tmp_path: Path
) -> None:
    evaluate(Request((run,), tta=True, out=tmp_path / "tta"))
    plain, flipped = patients(tested)["dice"], patients(tmp_path / "tta")["dice"]
    gain = card(tmp_path / "tta")["tta"]["dice"]
    assert gain["value"] == pytest.approx((flipped - plain).mean(), abs=1e-6)
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert (flipped != plain).any()
    assert card(tested)["tta"] is None


def test_an_ensemble_is_scored_on_its_mean_probability(
    run: Path, sibling: Path, tmp_path: Path
) -> None:
    request = Request((run, sibling), out=tmp_path / "out")
    evaluate(request)
    members = [(trained, trained.scans()) for trained in map(open_run, (run, sibling))]
    rows = np.flatnonzero(members[0][1].index["patient"].isin(members[0][0].members["test"]))
    streams = [list(volumes([(one.model, scans)], rows)) for one, scans in members]
    found = patients(request.folder)["dice"]
    for one, two in zip(*streams, strict=True):
        preds = (one.probs + two.probs) / 2 > 0.5
        expected = 2 * (preds & one.target).sum() / (preds.sum() + one.target.sum())
        assert found[one.patient] == pytest.approx(expected, abs=1e-6)
    default = replace(request, out=None).folder
    assert default == run / "evaluate" / "test-best-of-2-runs"


def own_scores(run: Path) -> pd.Series:
    table = pd.read_csv(run / "patients.csv")
    return table[(table["checkpoint"] == "best") & (table["split"] == "test")].set_index("patient")[
        "dice"
    ]


def test_folds_score_each_the_patients_that_it_tested(folds: list[Path], tmp_path: Path) -> None:
    evaluate(Request(tuple(folds), out=tmp_path / "out"))
    found = patients(tmp_path / "out")
    expected = pd.concat([own_scores(run) for run in folds])
    pd.testing.assert_series_equal(found["dice"], expected)
    assert len(found) == 20
    assert set(found["part"]) == {"test"}
    page = (tmp_path / "out/card.md").read_text()
    assert "Evaluation of 3 folds, each patient by the network that tested it, on test" in page
    assert "chosen on the val patients of all folds" in page
    assert "Only" not in page


def test_folds_that_are_not_all_say_whom_they_leave_out(folds: list[Path], tmp_path: Path) -> None:
    evaluate(Request(tuple(folds[1:]), out=tmp_path / "out"))
    tested = sum(len(own_scores(run)) for run in folds[1:])
    page = (tmp_path / "out/card.md").read_text()
    assert f"Only {tested} of 20 patients are tested by these 2 folds" in page
    assert card(tmp_path / "out")["threshold"] is not None


def test_all_holds_every_part_and_says_that_it_flatters(run: Path, tmp_path: Path) -> None:
    evaluate(Request((run,), "all", out=tmp_path / "out"))
    members = RunFolder(run).required_metrics["split"]["members"]
    part = patients(tmp_path / "out")["part"]
    assert {name: sorted(part.index[part == name]) for name in members} == members
    assert (
        "14 of 20 patients were trained or validated on" in (tmp_path / "out/card.md").read_text()
    )
    assert "Only" not in (tmp_path / "out/card.md").read_text()


def test_patients_of_another_folder_are_scored(run: Path, strangers: Path, tmp_path: Path) -> None:
    evaluate(Request((run,), "all", root=strangers, out=tmp_path / "out"))
    found = patients(tmp_path / "out")
    assert sorted(found.index) == sorted(path.name for path in strangers.iterdir())
    assert set(found["part"]) == {"new"}
    assert card(tmp_path / "out")["threshold"] is not None  # on the run's own val


def test_a_seen_patient_among_them_is_refused_by_name(
    run: Path, strangers: Path, tmp_path: Path
) -> None:
    seen = RunFolder(run).required_metrics["split"]["members"]["val"][0]
    rename(strangers, sorted(path.name for path in strangers.iterdir())[0], seen)
    request = Request((run,), "all", root=strangers, out=tmp_path / "out")
    with pytest.raises(ValueError, match=seen):
        evaluate(request)
    assert not request.folder.exists()
    evaluate(replace(request, allow_seen=True))
    assert patients(tmp_path / "out")["part"][seen] == "val"


def test_scans_that_moved_give_the_same_scores_from_their_new_place(
    run: Path, tested: Path, tmp_path: Path
) -> None:
    config = load_checkpoint(run / BEST)["config"]["data"]["reader"]
    keys = ("patients", "slices", "size", "seed")
    Phantom(**{key: config[key] for key in keys}).find(tmp_path / "moved")
    evaluate(Request((run,), root=tmp_path / "moved", out=tmp_path / "out"))
    pd.testing.assert_frame_equal(patients(tmp_path / "out"), patients(tested))
    assert card(tmp_path / "out")["threshold"]["value"] == card(tested)["threshold"]["value"]


@pytest.mark.slow
def test_a_fault_among_the_scans_stops_or_is_left_out_as_the_run_was_told(
    run: Path, strangers: Path, tmp_path: Path, train: Train
) -> None:
    broken = sorted(strangers.glob("*/*_1.tif"))[0]
    broken.write_bytes(b"")
    with pytest.raises(ValueError, match=f"give --skip-faulty to leave(.|\n)*{broken.name}"):
        evaluate(Request((run,), "all", root=strangers, out=tmp_path / "out"))
    request = Request((run,), "all", root=strangers, out=tmp_path / "asked", skip_faulty=True)
    evaluate(request)
    lenient = train("data.on_error=skip", "epochs=1")
    evaluate(Request((lenient,), "all", root=strangers, out=tmp_path / "out"))
    slices = pd.read_csv(tmp_path / "out/slices.csv")
    assert 1 not in slices.loc[slices["patient"] == broken.parent.name, "slice"].tolist()
    asked = pd.read_csv(tmp_path / "asked/slices.csv")
    assert asked[["patient", "slice"]].equals(slices[["patient", "slice"]])


@pytest.mark.slow
def test_a_leaky_run_is_scored_on_its_slices_and_says_so(
    train: Train, strangers: Path, tmp_path: Path
) -> None:
    leaky = train("split=slice", "epochs=1")
    evaluate(Request((leaky,), out=tmp_path / "out"))
    own = pd.read_csv(leaky / "patients.csv")
    own = own[(own["checkpoint"] == "best") & (own["split"] == "test")].set_index("patient")
    names = SHARED[1:]  # the run counts all slices of a patient, not those of the part
    pd.testing.assert_frame_equal(patients(tmp_path / "out")[names], own[names])
    assert "LEAKY" in (tmp_path / "out/card.md").read_text()
    other = train("split=slice", "split.seed=1", "epochs=1")
    with pytest.raises(ValueError, match="split differently"):
        evaluate(Request((leaky, other), out=tmp_path / "both"))
    evaluate(Request((leaky,), "all", root=strangers, out=tmp_path / "unseen"))
    assert "LEAKY" not in (tmp_path / "unseen/card.md").read_text()
    config = load_checkpoint(leaky / BEST)["config"]["data"]["reader"]
    keys = ("patients", "slices", "size", "seed")
    Phantom(**{key: config[key] for key in keys}).find(tmp_path / "moved")
    evaluate(Request((leaky,), root=tmp_path / "moved", out=tmp_path / "again"))
    pd.testing.assert_frame_equal(patients(tmp_path / "again"), patients(tmp_path / "out"))


@pytest.mark.usefixtures("drawn")
def test_patients_without_any_tumour_can_be_scored_and_drawn(
    run: Path, strangers: Path, tmp_path: Path
) -> None:
    for path in strangers.glob("*/*_mask.tif"):
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(path)
    evaluate(Request((run,), "all", root=strangers, out=tmp_path / "out"))
    found = card(tmp_path / "out")
    assert found["surface"]["hd95_px"]["value"] is None
    assert found["surface"]["hd95_px"]["note"] == "no patient has this score"
    assert found["overlap"]["slice_empty_1"]["dice"]["nothing"] == 1
    assert found["lesions"]["sensitivity"]["patients"] == 0
    assert found["lesions"]["sensitivity"]["nothing"] is None
    assert found["calibration"]["average_precision"]["value"] is None
    assert found["median"]["dice"]["nothing"] == 1


def test_3d_scores_come_with_the_spacing_alone(run: Path, tested: Path, tmp_path: Path) -> None:
    rules = replace(Request((run,)).rules, spacing=(5.0, 1.0, 1.0))
    evaluate(Request((run,), rules=rules, out=tmp_path / "out"))
    assert {"hd95_mm", "surface_dice_3d", "volume_error_ml"} <= set(patients(tmp_path / "out"))
    assert card(tmp_path / "out")["surface"]["hd95_mm"]["nothing"] > 32
    assert "hd95_mm" not in patients(tested)
    assert "hd95_mm" not in card(tested)["surface"]


def test_other_scans_under_the_same_path_are_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = open_run(run)
    monkeypatch.setitem(trained.metrics["data"], "fingerprint", "0" * 64)
    monkeypatch.setattr(evaluation, "open_run", lambda *_: trained)
    with pytest.raises(ValueError, match="trained on other scans"):
        evaluate(Request((run,), out=tmp_path / "out"))


@pytest.mark.usefixtures("drawn")
def test_an_evaluation_that_fails_leaves_the_one_before(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request((run,), "val", out=tmp_path / "out")
    evaluate(request)
    before = everything(request.folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(OSError, match="No space"):
        evaluate(replace(request, split="test"))
    assert everything(request.folder) == before
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["out"]


def test_an_evaluation_made_otherwise_is_replaced_whole(run: Path, tmp_path: Path) -> None:
    request = Request((run,), "val", out=tmp_path / "out")
    request.folder.mkdir()
    evaluate(request)
    (request.folder / "figures" / "old.png").write_text("")
    evaluate(replace(request, tta=True))
    assert card(request.folder)["tta"] is not None
    assert not (request.folder / "figures" / "old.png").exists()
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["out"]


@pytest.mark.parametrize("text", ["{}", "[]", "mine", '{"about": {"title": "mine"}}'])
def test_a_card_of_another_hand_is_not_replaced(run: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_text(text)
    before = everything(tmp_path)
    with pytest.raises(ValueError, match="something else than an evaluation"):
        evaluate(Request((run,), out=tmp_path))
    assert everything(tmp_path) == before


def test_a_folder_with_anything_else_in_it_is_not_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="something else than an evaluation"):
        evaluate(Request((run,), out=tmp_path))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_threshold_that_cannot_come_from_the_scans_of_the_training_says_why(
    run: Path, strangers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Trained.scans

    def gone(trained: Trained, root: Path | None = None, **more: bool) -> Scans:
        if root is None:
            raise ValueError("they are no longer there")
        return own(trained, root, **more)

    monkeypatch.setattr(Trained, "scans", gone)
    evaluate(Request((run,), "all", root=strangers, out=tmp_path / "out"))
    card = (tmp_path / "out/card.md").read_text()
    said = "no threshold from the scans of the training: they are no longer there"
    assert said in card
    assert "No threshold could be chosen" in card
