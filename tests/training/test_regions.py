"""Three nested regions, from the cell to the mask of a new scan."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import brainseg
from brainseg.config import compose, instantiate
from brainseg.data.cache import Scans
from brainseg.evaluate.evaluation import evaluate
from brainseg.evaluate.request import Request
from brainseg.export.publish import publish
from brainseg.inference import volumes
from brainseg.predict.__main__ import main as predict
from brainseg.report.write import report
from brainseg.runs.folder import RunFolder
from brainseg.training.fit import fit
from tests.conftest import TINY, plain, tiny_cell

REGIONS = ["wt", "tc", "et"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regions")
    words = ["data=phantom_brats", *TINY[1:], "data.reader.slices=[8,8]", "optimizer.lr=5e-3"]
    for norm in ("batch", "layer"):
        config = plain(compose([*words, f"norm={norm}", "epochs=6", "augment=geometric"]))
        cell = tiny_cell(folder / norm, f"norm={norm}")
        cell.config.clear()
        cell.config.update(config)
        fit(cell, title=norm)
    return folder


@pytest.fixture(scope="module")
def scans(sweep: Path) -> Scans:
    found: Scans = instantiate((RunFolder(sweep / "batch").config or {})["data"])
    found.prepare()
    return found


def test_scores_are_means_over_regions_of_means_over_patients(sweep: Path) -> None:
    run = RunFolder(sweep / "batch")
    table, metrics = run.patients, run.required_metrics
    assert table is not None
    assert table["region"].tolist() == REGIONS * (len(table) // 3)
    for (which, part), rows in table.groupby(["checkpoint", "split"]):
        by_region = rows.groupby("region", sort=False)["dice"].mean()
        told = metrics["scores"][which][part]["dice"]
        assert told == pytest.approx(by_region.mean(), abs=1e-6)
        regions = metrics["regions"][which][part]
        assert list(regions) == REGIONS
        for name, value in by_region.items():
            assert regions[name]["dice"] == pytest.approx(value, abs=1e-6)
    et = table.query("region == 'et' and checkpoint == 'best'")
    nested = table.pivot_table(
        index=["checkpoint", "split", "patient"], columns="region", values="target"
    )
    assert (nested["wt"] >= nested["tc"]).all()
    assert (nested["tc"] >= nested["et"]).all()
    assert (et["target"] == 0).sum() == 2  # one in four has none of it
    last = run.history[-1]
    mean = np.mean([last[f"val/dice_{name}"] for name in REGIONS])
    assert last["val/dice"] == pytest.approx(mean, abs=1e-6)


def test_predictions_and_panels_have_a_mask_a_region(sweep: Path, scans: Scans) -> None:
    saved = np.load(sweep / "batch" / "predictions.npz")
    assert saved["region"].tolist() == REGIONS
    counted = np.bitwise_count(saved["masks"]).sum(-1)  # of slices and regions
    table = pd.read_csv(sweep / "batch" / "patients.csv").query("checkpoint == 'best'")
    tested = table[table["split"] == "test"].set_index(["patient", "region"])["predicted"]
    for name in np.unique(saved["patient"]):
        of = counted[saved["patient"] == name].sum(0)
        assert of.tolist() == [tested[name, region] for region in REGIONS]
    assert counted.any()
    events = EventAccumulator(str(sweep / "batch" / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    tags = {f"{part}/panel/{name}" for part in ("train", "val") for name in REGIONS}
    assert set(events.Tags()["images"]) == tags


def test_a_region_alone_is_what_it_is_among_others(scans: Scans) -> None:
    alone = Scans(scans.reader, regions=["tc"], size=scans.preprocessing.pixels)
    alone.prepare()
    assert alone.index["tumour"].sum() < scans.index["tumour"].sum()
    rows = np.arange(8)
    np.testing.assert_array_equal(
        alone.original_masks(rows)[:, 0], scans.original_masks(rows)[:, 1]
    )
    np.testing.assert_array_equal(alone.apart(alone.masks[3])[0], scans.apart(scans.masks[3])[1])


def test_the_card_has_a_part_a_region_and_gives_the_runs_own_scores(
    sweep: Path, tmp_path: Path
) -> None:
    cards = evaluate(Request((sweep / "batch",), out=tmp_path / "out"))
    assert list(cards) == REGIONS
    run = RunFolder(sweep / "batch").required_metrics
    whole = json.loads((tmp_path / "out" / "card.json").read_text())
    told = run["scores"]["best"]["test"]["dice"]
    assert whole["dice"]["value"] == pytest.approx(told, abs=1e-6)
    for name, regions in whole["regions"].items():
        value = regions["overlap"]["patient"]["dice"]["value"]
        assert value == pytest.approx(run["regions"]["best"]["test"][name]["dice"], abs=1e-6)
    shared = ["patient", "region", "tp", "predicted", "target", "dice"]
    found = pd.read_csv(tmp_path / "out" / "patients.csv")[shared]
    own = pd.read_csv(sweep / "batch" / "patients.csv")
    own = own.query("checkpoint == 'best' and split == 'test'")[shared].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, own, check_exact=True)
    figures = {path.stem for path in (tmp_path / "out" / "figures").iterdir()}
    assert {f"patients-worst-{name}" for name in REGIONS} <= figures
    text = (tmp_path / "out" / "card.md").read_text()
    assert all(f"figures/{name}.png" in text for name in figures)


def test_a_report_tells_the_regions_apart(sweep: Path, tmp_path: Path) -> None:
    report([sweep], out=tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Every Dice above and below is the mean over the regions wt, tc, et." in text
    table = pd.read_csv(sweep / "layer" / "patients.csv").query("checkpoint == 'best'")
    rows = table[(table["split"] == "test") & (table["region"] == "tc")]
    assert f"| layer norm | tc | {rows['dice'].mean():.3f} | {len(rows)} |" in text


def test_a_new_scan_gets_a_label_map_and_a_mask_a_region(
    sweep: Path, scans: Scans, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patient = scans.reader.find(scans.root).patients[0]
    folder, out = patient.volumes[0].parent, tmp_path / "masks"
    words = [str(folder), "--weights", str(sweep / "batch"), "--out", str(out)]
    code = predict([*words, "--statistics", "--preview", "--probabilities", "--threshold", "0.2"])
    printed = capsys.readouterr().out
    assert code == 0, printed

    def array(what: str) -> np.ndarray:
        image: Any = nib.load(out / f"{patient.name}_{what}.nii.gz")
        return np.asarray(image.dataobj)

    labels, masks = array("labels"), {name: array(f"{name}_mask") for name in REGIONS}
    expected = np.select([masks[name] > 0 for name in ("et", "tc", "wt")], [4, 1, 2])
    np.testing.assert_array_equal(labels, expected)
    assert labels.any()
    np.testing.assert_array_equal(masks["wt"], array("wt_probabilities") > np.float32(0.2))
    table = pd.read_csv(out / "statistics.csv").set_index("region")["pixels"]
    assert table.to_dict() == {name: int(mask.sum()) for name, mask in masks.items()}
    assert (out / f"{patient.name}_preview.png").is_file()


def test_python_gives_the_probabilities_of_evaluate_and_a_first_axis_of_regions(
    sweep: Path, scans: Scans
) -> None:
    from brainseg.evaluate.trained import open_run
    from brainseg.predict.scan import Scan

    segmenter = brainseg.load(sweep / "batch")
    patient = scans.reader.find(scans.root).patients[0]
    images, *_ = scans.reader.read(patient)
    sequences = {name: images[..., k] for k, name in enumerate(segmenter.channels)}
    probs = segmenter.probabilities(Scan(patient.name, sequences, {}))
    rows = np.flatnonzero(scans.index["patient"] == patient.name)
    trained = open_run(sweep / "batch")
    for k, each in enumerate(volumes([(trained.model, scans)], rows)):
        assert each.region == REGIONS[k]
        np.testing.assert_allclose(probs[k], each.probs, atol=1e-5)
    volume = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert segmenter(volume).shape == (3, *images.shape[:3])
    assert segmenter(volume[0]).shape == (3, *images.shape[1:3])


def test_published_weights_keep_regions_and_their_labels(sweep: Path, tmp_path: Path) -> None:
    publish(sweep / "batch", tmp_path / "weights")
    card = json.loads((tmp_path / "weights" / "model.json").read_text())
    assert card["regions"] == REGIONS
    assert card["labels"] == {"wt": 2, "tc": 1, "et": 4}
    one, two = (brainseg.load(path) for path in (sweep / "batch", tmp_path / "weights"))
    image = np.random.default_rng(0).integers(0, 255, (3, 4, 32, 32), np.uint8)
    np.testing.assert_array_equal(one(image), two(image))
    assert two.labels == one.labels
    card["labels"] = {"wt": 2}
    (tmp_path / "weights" / "model.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=r"cannot be used \(labels .* of regions"):
        brainseg.load(tmp_path / "weights")
