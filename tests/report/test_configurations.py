from dataclasses import replace

import numpy as np
import pytest

from brainseg.report.configurations import comparable, group, pool, same_model
from tests.report.synthetic import result, sweep


def test_seeds_are_pooled_into_one_configuration() -> None:
    made = sweep({"norm": ["batch", "group"], "seed": [0, 1, 2]})
    pooled = pool(made)
    assert len(pooled) == 2
    each = next(c for c in pooled if c.levels == {"norm": "group"})
    assert each.best.shape == (3, 20)
    by_hand = np.mean([r.by_patient().to_numpy() for r in made if "group" in r.name])
    assert each.best.to_numpy().mean() == pytest.approx(by_hand)


def test_configurations_come_in_the_order_of_val_whatever_test_says() -> None:
    made = [
        result({"norm": "batch"}, {"val": [0.9], "test": [0.1]}),
        result({"norm": "group"}, {"val": [0.8], "test": [0.9]}),
    ]
    assert [each.levels["norm"] for each in pool(made)] == ["batch", "group"]


def test_folds_are_pooled_out_of_fold_each_patient_once() -> None:
    made = [
        result(
            {"split.fold": fold},
            {"val": [0.5], "test": [0.1 * fold, 0.5]},
            names={"test": [f"a{fold}", f"b{fold}"]},
        )
        for fold in range(3)
    ]
    (pooled,) = pool(made)
    assert pooled.best.loc[0].to_dict() == pytest.approx(
        {"a0": 0.0, "a1": 0.1, "a2": 0.2, "b0": 0.5, "b1": 0.5, "b2": 0.5}
    )


def test_a_patient_in_two_folds_is_refused() -> None:
    made = [
        result({"split.fold": k}, {"val": [0.5], "test": [0.5]}, names={"test": ["a"]})
        for k in range(2)
    ]
    with pytest.raises(ValueError, match="patient a is tested by more than one"):
        pool(made)


def test_a_seed_that_lacks_a_fold_is_left_out() -> None:
    made = [
        result(
            {"split.fold": fold, "seed": seed},
            {"val": [0.5], "test": [0.1 * fold + seed * 0.01]},
            names={"test": [f"a{fold}"]},
        )
        for seed, fold in [(0, 0), (0, 1), (1, 0)]
    ]
    (pooled,) = pool(made)
    assert list(pooled.best.index) == [0]
    assert list(pooled.best.columns) == ["a0", "a1"]


def test_other_patients_are_another_split_and_never_comparable() -> None:
    dice = {"val": [0.5], "test": [0.5, 0.6]}
    first = result({"norm": "batch"}, dice)
    second = result({"norm": "group"}, dice, names={"test": ["x", "y"]})
    one, other = pool([first, second])
    assert not comparable(one, other)
    assert [len(each) for each in group([one, other])] == [1, 1]


def test_other_scans_are_another_split() -> None:
    dice = {"val": [0.5], "test": [0.5, 0.6]}
    second = result({"norm": "group"}, dice, data={"fingerprint": "other"})
    one, other = pool([result({"norm": "batch"}, dice), second])
    assert not comparable(one, other)


def test_the_same_settings_on_other_scans_are_not_pooled() -> None:
    dice = {"val": [0.5], "test": [0.5, 0.6]}
    second = result({"seed": 1}, dice, data={"fingerprint": "other"})
    pooled = pool([result({"seed": 0}, dice), second])
    assert [list(each.levels) for each in pooled] == [["split"], ["split"]]


def test_the_first_group_is_not_the_leaky_one() -> None:
    made = sweep({"split": ["slice", "patient"]})
    leaky = made[0].metrics["split"] | {"leaky": True}
    made[0] = replace(made[0], metrics=made[0].metrics | {"split": leaky})
    groups = group(pool(made))
    assert [each[0].leaky for each in groups] == [False, True]


def test_the_same_epoch_of_one_training_is_the_same_model() -> None:
    dice = {"val": [0.5], "test": [0.5, 0.6]}
    made = [result({"epochs": epochs}, dice) for epochs in (50, 100)]
    short, long = pool(made)
    assert short.levels["epochs"] == "50"  # of equals the cheaper one first
    assert same_model(short, long)


def test_the_same_scores_with_another_norm_are_not_the_same_model() -> None:
    dice = {"val": [0.5], "test": [0.5, 0.6]}
    assert not same_model(*pool([result({"norm": norm}, dice) for norm in ("a", "b")]))


def test_another_best_epoch_is_another_model() -> None:
    dice = {"val": [0.5], "test": [0.5, 0.6]}
    made = [result({"epochs": 50}, dice), result({"epochs": 100}, dice, best_epoch=90)]
    assert not same_model(*pool(made))


def test_the_same_weights_scored_on_another_machine_are_the_same_model() -> None:
    made = [
        result({"epochs": 50}, {"val": [0.5], "test": [0.5, 0.6]}),
        result({"epochs": 100}, {"val": [0.5], "test": [0.5, 0.600001]}),
    ]
    assert not same_model(*pool(made))
    for each in made:
        each.metrics["weights"] = "digest"
    assert same_model(*pool(made))
    made[1].metrics["weights"] = "another"
    assert not same_model(*pool(made))
