from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from brainseg.config import CONF, instantiate
from brainseg.data.split import Split, everyone, patient_split, slice_split

INSTITUTIONS = {"DU": 45, "HT": 34, "CS": 16, "FG": 14, "EZ": 1}  # as in LGG


def lgg_like_index(institutions: dict[str, int] = INSTITUTIONS) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    rows = []
    for institution, patients in institutions.items():
        for patient in range(patients):
            burden = rng.lognormal(5, 1)
            for number in range(1, rng.integers(6, 12)):
                tumour = int(burden * rng.random()) if rng.random() < 0.35 or number == 1 else 0
                rows.append((f"{institution}_{patient}", institution, number, tumour))
    return pd.DataFrame(rows, columns=["patient", "institution", "slice", "tumour"])


def patients_of(index: pd.DataFrame, rows: np.ndarray) -> set[str]:
    return set(index["patient"].iloc[rows])


def parts(split: Split) -> list[np.ndarray]:
    return [split.train, split.val, split.test]


def test_no_patient_is_on_two_sides_and_no_slice_is_lost() -> None:
    index = lgg_like_index()
    split = patient_split(index)
    train, val, test = (patients_of(index, rows) for rows in parts(split))
    assert not train & val | train & test | val & test
    assert np.array_equal(np.sort(np.concatenate(parts(split))), np.arange(len(index)))
    assert not split.leaky


def test_shares_are_of_patients() -> None:
    index = lgg_like_index()
    sizes = [len(patients_of(index, rows)) for rows in parts(patient_split(index))]
    assert sizes == [78, 16, 16]  # 15 % of 110 is 16.5, which rounds to even


def test_every_part_has_its_share_of_institutions_and_burdens() -> None:
    index = lgg_like_index()
    for seed in range(5):
        split = patient_split(index, seed=seed)
        burden = index.groupby("patient")["tumour"].sum().rank(pct=True)
        for rows in (split.val, split.test):
            members = sorted(patients_of(index, rows))
            for institution in ("DU", "HT", "CS", "FG"):
                count = sum(name.startswith(institution) for name in members)
                assert abs(count - 16 * INSTITUTIONS[institution] / 110) <= 2
            assert 0.4 < burden[members].mean() < 0.6
            assert burden[members].min() < 0.25
            assert burden[members].max() > 0.75


def test_every_patient_is_tested_once_over_the_folds() -> None:
    index = lgg_like_index()
    splits = [patient_split(index, fold=fold, folds=7) for fold in range(7)]
    tested = [patients_of(index, split.test) for split in splits]
    assert set.union(*tested) == set(index["patient"])
    assert sum(map(len, tested)) == 110
    assert {len(names) for names in tested} == {15, 16}
    for split in splits:
        assert len(patients_of(index, split.val)) == 14  # 15 % of the 94 or 95 others
        assert not patients_of(index, split.val) & patients_of(index, split.test)


def test_split_depends_on_its_seed_alone() -> None:
    index = lgg_like_index()
    np.random.seed(1)
    first, again, other = (patient_split(index, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


def test_split_does_not_depend_on_the_order_of_the_index() -> None:
    index = lgg_like_index()
    shuffled = index.sample(frac=1, random_state=3).reset_index(drop=True)
    assert patients_of(index, patient_split(index).test) == patients_of(
        shuffled, patient_split(shuffled).test
    )


def test_slice_split_is_leaky_and_says_so() -> None:
    index = lgg_like_index()
    split = slice_split(index)
    assert split.leaky
    assert patients_of(index, split.train) & patients_of(index, split.test)
    assert np.array_equal(np.sort(np.concatenate(parts(split))), np.arange(len(index)))
    assert len(split.test) == pytest.approx(0.15 * len(index), abs=1)


@pytest.mark.parametrize("patients", [3, 4, 5, 12])
@pytest.mark.parametrize("shares", [(0.15, 0.15), (0.9, 0.05), (0.05, 0.9)])
def test_few_patients_still_split(patients: int, shares: tuple[float, float]) -> None:
    index = lgg_like_index({"DU": patients - 1, "EZ": 1})
    split = patient_split(index, val=shares[0], test=shares[1])
    assert all(len(rows) for rows in parts(split))


def test_few_patients_still_fold() -> None:
    index = lgg_like_index({"DU": 4})
    for folds in (2, 3, 4):
        for fold in range(folds):
            assert all(len(rows) for rows in parts(patient_split(index, fold=fold, folds=folds)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val": 0.0}, r"val=0.0 and test=0.15 must .*; set split.val"),
        ({"val": 0.5, "test": 0.5}, r"val=0.5 and test=0.5 must .* leave some to train on"),
        ({"fold": 5}, r"fold=5 must be one of folds=5, counted from 0; set split.fold"),
        ({"fold": -1}, r"fold=-1 must be one of folds=5"),
        ({"fold": 0, "folds": 1}, r"fold=0 must be one of folds=1"),
        ({"fold": 0, "val": 1.0}, r"val=1.0 must be within 0 and 1; set split.val"),
        (
            {"fold": 0, "folds": 200},
            r"folds=200 must not be above the number of patients, 110; lower split\.folds",
        ),
    ],
)
def test_impossible_splits_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        patient_split(lgg_like_index(), **arguments)  # type: ignore[arg-type]


def test_folds_without_a_fold_are_said_to_do_nothing() -> None:
    with pytest.warns(UserWarning, match="folds=10 does nothing where fold is null; set split.fo"):
        patient_split(lgg_like_index(), folds=10)


def test_fewer_patients_than_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="patients=2 must be at least 3 to train, validate and"):
        patient_split(lgg_like_index({"DU": 2}))


@pytest.mark.parametrize("option", sorted((CONF / "split").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_option_splits(option: Path) -> None:
    index = lgg_like_index()
    names = index["patient"].unique()
    of = dict(zip(names, np.resize(["train", "train", "val", "test"], len(names)), strict=True))
    split = instantiate(OmegaConf.load(option))(index.assign(part=index["patient"].map(of)))
    assert split.leaky == (option.stem in ("all", "slice"))
    assert len(np.unique(np.concatenate(parts(split)))) == len(index)


def test_everyone_trains_and_whoever_is_scored_was_seen() -> None:
    index = lgg_like_index()
    split = everyone(index)
    assert split.leaky
    assert np.array_equal(split.train, np.arange(len(index)))
    assert np.array_equal(split.val, split.test)
    assert np.array_equal(split.val, patient_split(index).val)
    with pytest.raises(ValueError, match="fold=0 must be null where all patients train"):
        everyone(index, fold=0)
