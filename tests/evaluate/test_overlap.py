import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.functional import classification as reference

from brainseg.evaluate.overlap import LEVELS, NAMES, by_level, count_slices, nothing, scores, total

Masks = NDArray[np.bool_]
PATIENT = np.array([0] * 5 + [1] * 3 + [2] * 4)
OUTSIDE = {
    "dice": reference.binary_f1_score,
    "iou": reference.binary_jaccard_index,
    "precision": reference.binary_precision,
    "recall": reference.binary_recall,
    "accuracy": reference.binary_accuracy,
}


@pytest.fixture
def masks() -> tuple[Masks, Masks]:
    """Predictions and truth of 12 slices: some truths empty, some predictions, some both."""
    rng = np.random.default_rng(0)
    preds, target = rng.random((2, 12, 16, 16)) < 0.2
    target[[0, 4, 5, 8]] = False
    preds[[0, 2, 5, 9]] = False
    return preds, target


def outside(name: str, preds: Masks, target: Masks) -> float:
    p, t = (torch.from_numpy(np.ascontiguousarray(mask)).int() for mask in (preds, target))
    if name == "mean_iou":
        return float(reference.multiclass_jaccard_index(p, t, num_classes=2, average="macro"))
    return float(OUTSIDE[name](p, t))


def values(preds: Masks, target: Masks) -> dict[str, dict[str, float]]:
    found = by_level(count_slices(preds, target), PATIENT)
    return {level: {n: each.value for n, each in names.items()} for level, names in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_patient_and_global_scores_are_torchmetrics(masks: tuple[Masks, Masks], name: str) -> None:
    found = values(*masks)
    by_patient = [outside(name, *(mask[p == PATIENT] for mask in masks)) for p in range(3)]
    assert found["patient"][name] == pytest.approx(np.mean(by_patient), abs=1e-6)
    assert found["global"][name] == pytest.approx(outside(name, *masks), abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_tumour_slice_scores_are_torchmetrics(masks: tuple[Masks, Masks], name: str) -> None:
    with_tumour = np.flatnonzero(masks[1].any((1, 2)))
    expected = [outside(name, masks[0][k], masks[1][k]) for k in with_tumour]
    assert values(*masks)["tumour_slice"][name] == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "as_0"),
    [("dice", 0), ("iou", 0), ("precision", 0), ("recall", 0), ("mean_iou", 0.5), ("accuracy", 1)],
)
def test_the_three_rules_differ_in_slices_where_both_are_empty_alone(
    masks: tuple[Masks, Masks], name: str, as_0: float
) -> None:
    preds, target = masks
    silent = ~preds.any((1, 2)) & ~target.any((1, 2))
    spoken = [outside(name, preds[k], target[k]) for k in np.flatnonzero(~silent)]
    n = int(silent.sum())
    assert n == 2
    found = values(*masks)
    # torchmetrics gives 0 where truth alone is empty, and so do we
    assert found["slice_left_out"][name] == pytest.approx(np.mean(spoken), abs=1e-6)
    assert found["slice_empty_1"][name] == pytest.approx(np.mean(spoken + [1] * n), abs=1e-6)
    assert found["slice_empty_0"][name] == pytest.approx(np.mean(spoken + [as_0] * n), abs=1e-6)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((6, 8, 10, 100), (12 / 18, 6 / 12, (6 / 12 + 88 / 94) / 2, 6 / 8, 6 / 10, 0.94)),
        ((0, 0, 0, 100), (1, 1, 1, 1, 1, 1)),
        ((0, 5, 0, 100), (0, 0, 0.475, 0, 0, 0.95)),
        ((0, 0, 5, 100), (0, 0, 0.475, 0, 0, 0.95)),
        ((100, 100, 100, 100), (1, 1, 1, 1, 1, 1)),
        ((0, 100, 0, 100), (0, 0, 0, 0, 0, 0)),
    ],
    ids=["usual", "both_empty", "truth_empty", "prediction_empty", "both_full", "all_wrong"],
)
def test_scores_are_the_numbers_by_hand(
    counts: tuple[int, ...], expected: tuple[float, ...]
) -> None:
    found = scores(np.array(counts))
    assert [float(found[name]) for name in NAMES] == pytest.approx(expected, abs=1e-6)


def test_predicting_nothing_on_slices_scores_the_share_of_empty_ones(
    masks: tuple[Masks, Masks],
) -> None:
    counts = nothing(count_slices(*masks))
    found = by_level(counts, PATIENT)
    assert found["slice_empty_1"]["dice"].value == pytest.approx(4 / 12)
    assert found["patient"]["dice"].value == 0
    assert found["patient"]["accuracy"].value > 0.5


def test_a_patients_counts_are_the_sums_of_its_slices(masks: tuple[Masks, Masks]) -> None:
    counts = count_slices(*masks)
    expected = [counts[p == PATIENT].sum(0) for p in range(3)]
    np.testing.assert_array_equal(total(counts, PATIENT), expected)


def test_resamples_are_of_patients_not_of_slices() -> None:
    preds = np.ones((40, 2, 2), bool)
    target = np.ones((40, 2, 2), bool)
    target[20:] = False
    found = by_level(count_slices(preds, target), np.repeat([0, 1], 20))
    both = found["slice_empty_1"]["dice"].statistic(np.array([[0, 0], [0, 1], [1, 1]]))
    np.testing.assert_allclose(both, [1, 0.5, 0])


def test_every_level_has_every_score(masks: tuple[Masks, Masks]) -> None:
    found = values(*masks)
    every = [level for level in LEVELS if level != "patient_having"]  # here they all have it
    assert list(found) == every
    assert all(tuple(names) == NAMES for names in found.values())
