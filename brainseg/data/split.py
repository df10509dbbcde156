"""Which slices train, validate and test: by patient, by slice to measure the leak, or all train."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Split", "everyone", "given_split", "patient_split", "slice_split"]

Rows = NDArray[np.int64]
Units = NDArray[Any]  # names of patients, or rows

PARTS = ("train", "val", "test")
FOLDS = 5
SMALL_INSTITUTION = 5  # fewer patients than this are stratified together


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of the index in each part, sorted; `leaky` says that patients may be on two sides."""

    train: Rows
    val: Rows
    test: Rows
    leaky: bool = False


def patient_split(
    index: pd.DataFrame,
    *,
    seed: int = 0,
    val: float = 0.15,
    test: float = 0.15,
    fold: int | None = None,
    folds: int = FOLDS,
) -> Split:
    """Split by patient, stratified by institution and by the patient's tumour burden.

    Patients are sorted by institution (those with fewer than 5 patients count as one) and tumour
    pixels; each part then takes one patient at random from every stretch of that order, so that
    it spans all institutions and burdens.

    Args:
        index: A row per slice with the columns patient, institution and tumour (pixels).
        seed: Seed of the split alone, so that runs with other seeds share it.
        val: Share of the patients to validate on; with `fold`, share of those not in the fold.
        test: Share of the patients to test on; with `fold` it is not used.
        fold: The fold that is the test set, 0 to `folds - 1`; each patient is in one. None: none.
        folds: Number of folds; their sizes differ by one patient at most.

    Raises:
        ValueError: If a share or `fold` is out of range, or there are too few patients to put one
            on each side.
    """
    patients = index.groupby("patient").agg({"institution": "first", "tumour": "sum"})
    size = patients.groupby("institution")["tumour"].transform("size")
    group = patients["institution"].where(size >= SMALL_INSTITUTION, "").rank(method="dense")
    # Burden rises in one institution and falls in the next: neighbours are alike across the border.
    burden = patients["tumour"] * np.where(group % 2, 1, -1)
    ordered = patients.index.to_numpy()[np.lexsort((burden, group))]
    parts = _deal(ordered, "patients", seed=seed, val=val, test=test, fold=fold, folds=folds)
    train, validated, tested = (np.flatnonzero(index["patient"].isin(part)) for part in parts)
    return Split(train, validated, tested)


def slice_split(
    index: pd.DataFrame,
    *,
    seed: int = 0,
    val: float = 0.15,
    test: float = 0.15,
    fold: int | None = None,
    folds: int = FOLDS,
) -> Split:
    """Split slices at random whoever they belong to: LEAKY, here only to measure by how much.

    Arguments and errors are those of `patient_split`, with slices in the place of patients.
    """
    rows = np.random.default_rng(seed).permutation(len(index))
    parts = _deal(rows, "slices", seed=seed, val=val, test=test, fold=fold, folds=folds)
    train, validated, tested = (np.sort(part) for part in parts)
    return Split(train, validated, tested, leaky=True)


def everyone(
    index: pd.DataFrame, *, seed: int = 0, val: float = 0.15, fold: int | None = None
) -> Split:
    """Train on every patient, for weights that are given away: LEAKY.

    Some of them are scored as val and as test, which says nothing of others: how good such weights
    are is known from folds of the same recipe.

    Args:
        index: as of `patient_split`.
        seed: which patients are scored.
        val: share of the patients that are scored.
        fold: must be None.

    Raises:
        ValueError: as `patient_split`; or there is a fold.
    """
    if fold is not None:
        raise ValueError(f"fold={fold} must be null where all patients train; set split.fold=null")
    scored = patient_split(index, seed=seed, val=val, test=val).val
    return Split(np.arange(len(index)), scored, scored, leaky=True)


def given_split(index: pd.DataFrame, *, seed: int = 0, val: float = 0.15) -> Split:
    """The parts that the data set itself gives; those of no part are left out.

    Args:
        index: as of `patient_split`, with the column part.
        seed: which patients of train validate, where the data set names none.
        val: their share.

    Raises:
        ValueError: there is no train or no test.
    """
    train, validated, tested = (np.flatnonzero(index["part"] == part) for part in PARTS)
    if absent := [part for part, rows in (("train", train), ("test", tested)) if not len(rows)]:
        raise ValueError(
            f"split=given; the data set has no patients of {absent[0]}; give a table that says "
            "which (data.reader.table=...), or set split=patient"
        )
    if not len(validated):
        inside = index.iloc[train].reset_index(drop=True)
        dealt = patient_split(inside, seed=seed, val=val, test=val)
        validated = train[dealt.val]
        train = np.setdiff1d(train, validated)
    return Split(train, validated, tested)


def _deal(
    ordered: Units,
    unit: str,
    *,
    seed: int,
    val: float,
    test: float,
    fold: int | None,
    folds: int,
) -> tuple[Units, Units, Units]:
    """Deal an ordered array into train, val and test, each spread over the whole order."""
    _check(len(ordered), unit, seed=seed, val=val, test=test, fold=fold, folds=folds)
    rng = np.random.default_rng(seed)
    if fold is None:
        rest, tested = _pick(ordered, round(test * len(ordered)), rng, leave=2)
        count = round(val * len(ordered))
    else:
        hands = -(-len(ordered) // folds)
        fold_of = np.concatenate([rng.permutation(folds) for _ in range(hands)])[: len(ordered)]
        rest, tested = ordered[fold_of != fold], ordered[fold_of == fold]
        count = round(val * len(rest))
    train, validated = _pick(rest, count, rng, leave=1)
    return train, validated, tested


def _check(
    count: int, unit: str, *, seed: int, val: float, test: float, fold: int | None, folds: int
) -> None:
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed={seed} must be a whole number >= 0; set split.seed")
    if fold is None and (min(val, test) <= 0 or val + test >= 1):
        raise ValueError(
            f"val={val} and test={test} must be above 0 and leave some to train on; "
            "set split.val and split.test, e.g. 0.15 each"
        )
    if not 0 < val < 1:
        raise ValueError(f"val={val} must be within 0 and 1; set split.val, e.g. 0.15")
    if fold is None and folds != FOLDS:
        warnings.warn(
            f"folds={folds} does nothing where fold is null; set split.fold too", stacklevel=1
        )
    if fold is not None and (folds < 2 or not 0 <= fold < folds):
        raise ValueError(
            f"fold={fold} must be one of folds={folds}, counted from 0; "
            "set split.fold and split.folds (at least 2)"
        )
    if fold is not None and folds > count:
        raise ValueError(
            f"folds={folds} must not be above the number of {unit}, {count}; lower split.folds"
        )
    if count < (needed := 3 if fold is None else 4):
        raise ValueError(
            f"{unit}={count} must be at least {needed} to train, validate and test on different "
            "ones; use more scans"
        )


def _pick(
    ordered: Units, count: int, rng: np.random.Generator, *, leave: int
) -> tuple[Units, Units]:
    """Take one at random from each of `count` stretches (at least 1): the others, the taken."""
    count = min(max(count, 1), len(ordered) - leave)
    taken = [rng.choice(stretch) for stretch in np.array_split(np.arange(len(ordered)), count)]
    return np.delete(ordered, taken), ordered[taken]
