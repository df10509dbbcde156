"""A run of one data set scored on another: sequences by name, shared patients refused."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from brainseg.config import compose, instantiate
from brainseg.data.cache import Scans
from brainseg.evaluate import __main__ as command
from brainseg.evaluate.trained import open_run
from brainseg.inference import predict
from brainseg.runs.folder import RunFolder
from brainseg.training.fit import fit
from tests.conftest import tiny_cell

OTHER = ["data=phantom_brats", "data.reader.patients=4", "data.reader.slices=[6,6]"]
OTHER += ["data.reader.size=48", "data.regions=[wt]"]


@pytest.fixture(scope="module")
def lgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of FLAIR alone, trained on phantoms of LGG."""
    cell = tiny_cell(
        tmp_path_factory.mktemp("cross") / "lgg",
        "epochs=4",
        "optimizer.lr=5e-3",
        "augment=geometric",
        "data.modalities=[flair]",
        "data.head=power",
    )
    fit(cell, title="lgg")
    return cell.folder


def files(tmp_path: Path, names: dict[str, str]) -> list[str]:
    """Phantoms of BraTS as files, whose mapping has names of TCGA; words that choose them."""
    drawn = instantiate(compose(OTHER).data).reader
    folder = drawn.find(tmp_path / "scans").root
    with (folder / "name_mapping.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Grade", "BraTS_2020_subject_ID", "TCGA_TCIA_subject_ID"])
        for patient in drawn.find(tmp_path / "scans").patients:
            table.writerow(["LGG", patient.name, names.get(patient.name, "NA")])
    return ["data=brats2020", f"data.root={folder}", "data.regions=[wt]"]


def test_the_other_scans_are_prepared_as_the_runs_own_and_named_by_sequence(
    lgg: Path, tmp_path: Path
) -> None:
    words = [str(lgg), "--split", "all", "--out", str(tmp_path / "out"), "--data", *OTHER]
    assert command.main(words) == 0
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert list(card["regions"]) == ["wt"]
    assert card["about"]["data"] == OTHER
    assert card["regions"]["wt"]["threshold"] is not None  # on the val of the training
    table = pd.read_csv(tmp_path / "out" / "patients.csv")
    assert set(table["part"]) == {"new"}
    run = open_run(lgg)
    scans: Scans = run.scans(data=OTHER)
    assert scans.modalities == ("flair",)
    assert scans.preprocessing.pixels == 32  # the run's, not 96
    assert scans.preprocessing.head == "power"  # likewise
    patient = scans.reader.find(None).patients[0]
    images, masks, *_ = scans.reader.read(patient)
    probs = predict([run.model], images, scans.preprocessing)[0]
    tp = ((probs > 0.5) & (masks & 1 > 0)).sum()
    assert table.set_index("patient")["tp"][patient.name] == pytest.approx(tp, abs=2)


def test_patients_of_both_data_sets_are_refused_or_named(
    lgg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = RunFolder(lgg).required_metrics["split"]["members"]["train"][0]
    person = "-".join(seen.split("_")[:3])
    other = files(tmp_path, {"BraTS20_Training_002": person})
    words = [str(lgg), "--split", "all", "--out", str(tmp_path / "out")]
    assert command.main([*words, "--data", *other]) == 2
    said = capsys.readouterr().err
    assert "1 of the 4 patients there were trained or validated on (BraTS20_Training_002)" in said
    assert command.main([*words, "--allow-seen", "--data", *other]) == 0
    table = pd.read_csv(tmp_path / "out" / "patients.csv").set_index("patient")["part"]
    assert table.to_dict() == {
        f"BraTS20_Training_00{k}": "train" if k == 2 else "new" for k in (1, 2, 3, 4)
    }


def test_a_run_remembers_who_its_patients_are(lgg: Path, tmp_path: Path) -> None:
    """And back: trained on BraTS, of whom one is among the phantoms of LGG."""
    theirs = RunFolder(lgg).required_metrics["split"]["members"]["test"][0]
    person = "-".join(theirs.split("_")[:3])
    other = files(tmp_path, {f"BraTS20_Training_00{k}": person for k in (1,)})
    config: Any = compose([*other, "data.modalities=[flair]", "data.size=32"])
    cell = tiny_cell(tmp_path / "brats", "epochs=1")
    cell.config["data"] = OmegaConf.to_container(config.data, resolve=True)
    fit(cell, title="brats")
    split = RunFolder(cell.folder).required_metrics["split"]
    assert split["persons"] == {"BraTS20_Training_001": person}
    words = [str(cell.folder), "--split", "all", "--out", str(tmp_path / "out"), "--allow-seen"]
    mine = ["data=phantom", "data.reader.patients=8", "data.reader.slices=[3,5]"]
    assert command.main([*words, "--data", *mine, "data.reader.size=32"]) == 0
    table = pd.read_csv(tmp_path / "out" / "patients.csv").set_index("patient")["part"]
    part = next(p for p, who in split["members"].items() if "BraTS20_Training_001" in who)
    assert table[theirs] == part
    assert (table.drop(theirs) == "new").all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=phantom_brats"], r"give as many with data.regions=\[...\] of wt, tc, et"),
        (["data=decathlon", "data.root=x"], "wants flair; data=decathlon has no flair but mri"),
        (["data=nothing"], "--data data=nothing: "),
        (
            ["data=phantom", "data.reader.patients=x"],
            "data.reader.patients='x' must be a whole number",
        ),
        (["data=phantom", "data.reader=1"], "must leave a data set with its reader"),
        (["data=phantom", "data=[1,2]"], "must be one option of its group"),
        (["data=brats2020", "data.root=gone", "data.regions=[wt]"], "gone"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(
    words: list[str], message: str, lgg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [str(lgg), "--split", "all", "--out", str(tmp_path / "out"), "--data", *words]
    assert command.main(call) == 2
    said = capsys.readouterr().err
    assert np.char.count(said, "\n") == 1
    assert re.search(message, said)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=phantom", "epochs=3"], "--data epochs=3: is not of the data"),
        (["data.root=/x"], "--data names no data set"),
        (["data=phantom", "data.head=otsu"], "--data data.head=otsu: the scans are prepared as"),
        (["data=phantom", "data.size=64"], "--data data.size=64: the scans are prepared as"),
    ],
)
def test_a_word_that_would_be_passed_over_is_refused(
    words: list[str], message: str, lgg: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        command.main([str(lgg), "--split", "all", "--data", *words])
    assert raised.value.code == 2
    assert message in capsys.readouterr().err
