from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from brainseg.evaluate.selection import by_fold, parts, person, select
from brainseg.evaluate.trained import Trained

MEMBERS = {
    "train": ["TCGA_CS_0001_20000101", "TCGA_CS_0002_20000101"],
    "val": ["TCGA_DU_0003_20000101"],
    "test": ["TCGA_DU_0004_20000101", "TCGA_HT_0005_20000101"],
}
INDEX = pd.DataFrame(
    {"patient": [name for names in MEMBERS.values() for name in names for _ in range(2)]}
)


FOLD = {"train": MEMBERS["test"], "val": MEMBERS["train"][:1], "test": MEMBERS["val"]}


def trained(
    members: dict[str, list[str]] = MEMBERS, *, leaky: bool = False, **config: object
) -> Trained:
    metrics = {"split": {"leaky": leaky, "members": members}, "data": {}}
    config = {"split": {}} | config
    return Trained(Path("run"), config, torch.nn.Identity(), "32-true", metrics)  # type: ignore[arg-type]


def others(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"patient": sorted(names)})


@pytest.mark.parametrize(
    ("split", "expected"),
    [("train", [0, 1, 2, 3]), ("val", [4, 5]), ("test", [6, 7, 8, 9]), ("all", list(range(10)))],
)
def test_a_split_is_the_slices_of_its_patients(split: str, expected: list[int]) -> None:
    assert select([trained()], INDEX, split).tolist() == expected


def test_all_patients_of_another_folder_are_taken() -> None:
    index = others("TCGA_FG_0009_20010101", "TCGA_DU_0004_20000101")
    assert select([trained()], index, "all", elsewhere=True).tolist() == [0, 1]


@pytest.mark.parametrize("seen", ["TCGA_CS_0001_20000101", "TCGA_DU_0003_20000101"])
def test_a_patient_of_train_or_val_found_elsewhere_is_refused_by_name(seen: str) -> None:
    index = others("TCGA_FG_0009_20010101", seen)
    with pytest.raises(ValueError, match=f"1 of the 2 patients.*{seen}.*--allow-seen"):
        select([trained()], index, "all", elsewhere=True)
    rows = select([trained()], index, "all", elsewhere=True, allow_seen=True)
    assert rows.tolist() == [0, 1]


@pytest.mark.parametrize("other", ["TCGA_CS_0001_20240131", "TCGA-CS-0001", "tcga_cs_0001_x"])
def test_another_scan_of_a_seen_patient_is_refused_too(other: str) -> None:
    with pytest.raises(ValueError, match="trained or validated on"):
        select([trained()], others(other), "all", elsewhere=True)


def test_a_patient_that_any_member_of_an_ensemble_has_seen_is_refused() -> None:
    fresh = trained({"train": ["A"], "val": ["B"], "test": ["C"]})
    with pytest.raises(ValueError, match="TCGA_CS_0002"):
        select([fresh, trained()], others("TCGA_CS_0002_20000101"), "all", elsewhere=True)


def test_names_that_are_not_tcgas_are_compared_whole() -> None:
    assert person("BraTS20_Training_001") != person("BraTS20_Training_002")
    assert person("TCGA_CS_0001_20000101") == person("TCGA-CS-0001")


def test_each_patients_part_is_named() -> None:
    names = ["TCGA_CS_0001_20000101", "TCGA_DU_0003_1", "TCGA_HT_0005_1", "TCGA_XX_0001_1"]
    assert parts([trained()], names) == ["train", "val", "test", "new"]


def test_a_split_none_of_whose_patients_is_there_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the 2 patients of --split test"):
        select([trained()], others("TCGA_FG_0009_20010101"), "test", elsewhere=True)


def test_runs_of_different_splits_are_an_ensemble_on_other_scans_alone() -> None:
    runs = [trained(), trained(FOLD)]
    for split in ("train", "val", "all"):
        with pytest.raises(ValueError, match=r"split differently, and each has seen.*--split test"):
            by_fold(runs, split, elsewhere=False)
    with pytest.raises(ValueError, match="split differently"):
        by_fold(runs, "test", elsewhere=True)
    assert by_fold(runs, "all", elsewhere=True) == [runs]
    same = [trained(), trained(seed=1, norm="group")]
    assert by_fold(same, "test", elsewhere=False) == [same]


def test_folds_of_one_recipe_and_their_seeds_are_told_apart() -> None:
    one, two = trained(seed=0), trained(FOLD, seed=0, split={"fold": 1})
    again = trained(seed=1)
    assert by_fold([one, two, again], "test", elsewhere=False) == [[one, again], [two]]
    other = trained(FOLD, seed=0, norm={"groups": 4})
    with pytest.raises(ValueError, match=r"run differ in more than split and seed \(norm.groups"):
        by_fold([one, two, other], "test", elsewhere=False)


def test_splits_that_test_the_same_patient_are_no_folds() -> None:
    other = trained(MEMBERS | {"train": MEMBERS["val"], "val": MEMBERS["train"]})
    with pytest.raises(ValueError, match="both test TCGA_DU_0004_20000101; give the folds"):
        by_fold([trained(), other], "test", elsewhere=False)


def test_a_leaky_split_is_not_one_by_patient() -> None:
    with pytest.raises(ValueError, match="split differently"):
        by_fold([trained(), trained(FOLD, leaky=True)], "test", elsewhere=False)


def test_two_splits_by_slice_are_compared_by_their_settings() -> None:
    runs = [trained(leaky=True), trained(leaky=True)]
    for run in runs:
        run.config["split"] = {"seed": 0}
    assert by_fold(runs, "test", elsewhere=False) == [runs]
    runs[1].config["split"] = {"seed": 1}  # every patient is in every part of both
    with pytest.raises(ValueError, match="split differently"):
        by_fold(runs, "test", elsewhere=False)


def test_a_part_of_a_split_by_slice_cannot_be_found_elsewhere() -> None:
    with pytest.raises(ValueError, match="was split by slice"):
        select([trained(leaky=True)], INDEX, "test", elsewhere=True)


def test_rows_of_a_leaky_split_are_its_slices() -> None:
    run = trained(leaky=True)
    run.config["split"] = {
        "_target_": "brainseg.data.split.slice_split",
        "_partial_": True,
        "val": 0.2,
        "test": 0.3,
    }
    rows = {part: select([run], INDEX, part) for part in MEMBERS}
    assert {part: len(each) for part, each in rows.items()} == {"train": 5, "val": 2, "test": 3}
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(10))
