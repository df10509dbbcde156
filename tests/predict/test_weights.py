"""The weights that come along: whole, honest about themselves, and able to find a tumour."""

import json
import re

import numpy as np
import pytest
import torch

import brainseg
from brainseg.config import instantiate
from brainseg.export.folds import HABITS
from brainseg.metrics import count, dice
from brainseg.predict.features import FEW
from brainseg.predict.published import OWN
from brainseg.predict.scan import Scan
from tests.conftest import tiny_config


@pytest.fixture(scope="module")
def card() -> dict[str, object]:
    read: dict[str, object] = json.loads((OWN / "model.json").read_text())
    return read


def test_they_are_small_and_say_where_they_come_from(card: dict[str, object]) -> None:
    size = sum(path.stat().st_size for path in OWN.iterdir())
    assert size < 16 * 2**20
    assert str(card["licence"]).startswith("CC BY-NC-SA 4.0")
    assert (OWN / "LICENSE").read_text().splitlines()[0] == card["licence"]
    assert card["use"] == "research only, not a medical device"
    assert card["limits"]
    assert len(card["training_patients"]) == 88  # type: ignore[arg-type]
    assert re.fullmatch("[0-9a-f]{12}", str(card["git"]))  # a revision, and no change beside it


def test_no_path_of_a_machine_and_no_patient_is_in_them(card: dict[str, object]) -> None:
    text = (OWN / "model.json").read_text()
    assert not re.search(r"/(work|home|tmp|root|Users)/|TCGA_", text)
    assert all("data.root" not in each for each in card["commands"])  # type: ignore[attr-defined]


def test_their_scores_are_those_of_what_they_do(card: dict[str, object]) -> None:
    assert {key: card[key] for key in HABITS} == HABITS
    wanted = {"few": FEW, "head": "power"}
    assert wanted.items() <= card["preprocessing"].items()  # type: ignore[attr-defined]
    for key in ("dice", "flair_alone", "lone_slices"):
        mean, low, high = card["scores"][key]["mean"]  # type: ignore[index]
        assert 0 < low < mean < high < 1


def test_they_find_a_drawn_tumour_that_they_were_not_trained_on() -> None:
    scans = instantiate(tiny_config("data.reader.size=128")["data"])
    segmenter = brainseg.load()
    patients = scans.reader.find(None).patients
    found = []
    for patient in patients[:3]:
        images, masks, *_ = scans.reader.read(patient)
        sequences = {name: images[..., k] for k, name in enumerate(scans.reader.modalities)}
        mask = segmenter.mask(
            segmenter.probabilities(Scan(patient.name, sequences, {})), segmenter.threshold
        )[0]
        pair = (torch.from_numpy(each)[None].flatten(1, 2)[:, None] for each in (mask, masks > 0))
        found.append(float(dice(count(*pair))))
    assert np.mean(found) > 0.3
