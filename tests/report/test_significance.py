import numpy as np
import pytest

from brainseg.report.comparison import Comparison
from brainseg.report.configurations import pool
from brainseg.report.paired import effect_size, holm, signed_rank
from brainseg.report.significance import Differences, compare, corrected, differences
from brainseg.report.variance import seed_noise
from tests.report.synthetic import result, sweep


def comparison(table: object, **about: object) -> Comparison:
    differ = np.asarray(table, dtype=float)
    seeds = seed_noise([differ / np.sqrt(2)])  # as two networks would that add up to it
    named = {"family": "f", "first": "a", "second": "b"} | about
    return compare(Differences(differ, len(differ)), seeds, **named)  # type: ignore[arg-type]


def verdicts(*tables: object) -> list[str]:
    return [each.verdict for each in corrected([comparison(table) for table in tables])]


def test_holm_by_hand() -> None:
    # Holm 1979: 0.01 * 4, 0.02 * 3, 0.03 * 2 is raised to 0.06, 0.9
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2, 0.5, 0.9])
def test_holm_rejects_at_every_level_what_his_procedure_does(alpha: float) -> None:
    for family in np.random.default_rng(0).uniform(size=(200, 7)) ** 3:
        rejected = set[int]()
        for step, place in enumerate(np.argsort(family)):  # Holm 1979: the smallest first
            if family[place] > alpha / (len(family) - step):
                break
            rejected.add(int(place))
        assert {n for n, p in enumerate(holm(family)) if p <= alpha} == rejected


def test_signed_rank_by_hand() -> None:
    # 5 differences of one sign: 2 / 2^5
    assert signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(0.0625)
    assert signed_rank(np.zeros(5)) == 1.0


def test_effect_size_by_hand() -> None:
    assert effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert effect_size(np.zeros(3)) == 0.0


def test_differences_are_paired_by_seed_and_patient() -> None:
    made = sweep({"norm": ["a", "b"], "seed": [0, 1, 2]})
    first, second = sorted(pool(made), key=lambda each: each.levels["norm"])
    differ = differences([first], [second])
    by_hand = first.best.loc[1, "P_test_03"] - second.best.loc[1, "P_test_03"]
    assert differ.table.shape == (3, 20)
    assert differ.table[1, 3] == pytest.approx(by_hand)
    assert (differ.seeds, differ.weight) == (3, 2.0)


def test_only_seeds_that_both_have_are_compared() -> None:
    dice = {"val": [0.5], "test": [0.5, 0.6]}
    made = [result({"norm": n, "seed": s}, dice) for n, s in [("a", 0), ("a", 1), ("b", 1)]]
    first, second = pool(made)
    differ = differences([first], [second])
    assert differ.table.shape == (1, 2)
    assert (differ.seeds, differ.weight) == (1, 2.0)


def test_without_a_common_seed_each_is_pooled_first() -> None:
    made = [
        result({"norm": "a", "seed": 0}, {"val": [0.5], "test": [0.5, 0.7]}),
        result({"norm": "a", "seed": 1}, {"val": [0.5], "test": [0.7, 0.9]}),
        result({"norm": "b", "seed": 2}, {"val": [0.5], "test": [0.1, 0.1]}),
    ]
    first, second = sorted(pool(made), key=lambda each: each.levels["norm"])
    differ = differences([first], [second])
    assert differ.table == pytest.approx(np.array([[0.5, 0.7]]))
    assert (differ.seeds, differ.weight) == (0, 1.5)  # 1 / 2 seeds and 1 / 1


def test_a_large_lead_over_seeds_and_patients_is_ahead() -> None:
    table = 0.1 + np.random.default_rng(0).normal(0, 0.02, (3, 20))
    assert verdicts(table) == ["ahead"]
    assert verdicts(-table) == ["behind"]


def test_with_one_seed_only_these_networks_differ() -> None:
    assert verdicts(0.1 + np.random.default_rng(0).normal(0, 0.02, (1, 20))) == ["networks"]


def test_a_lead_that_the_seeds_turn_is_noise_of_seeds() -> None:
    patients = np.random.default_rng(0).normal(0, 0.005, 20)
    assert verdicts(np.array([[0.10], [0.01]]) + patients) == ["seeds"]


def test_no_lead_is_noise() -> None:
    assert verdicts(np.random.default_rng(0).normal(0, 0.05, (3, 20))) == ["noise"]


def test_five_patients_are_too_few_for_any_claim() -> None:
    assert verdicts(np.full((3, 5), 0.2) + np.arange(5) / 100) == ["few"]


def test_the_same_model_is_no_test_and_costs_the_others_nothing() -> None:
    table = 0.1 + np.random.default_rng(0).normal(0, 0.02, (3, 20))
    alone = corrected([comparison(table)])[0]
    same, beside = corrected([comparison(np.zeros((3, 20))), comparison(table)])
    assert same.verdict == "same"
    assert beside.p_holm == alone.p_holm


def test_the_family_is_corrected_together() -> None:
    tables = [0.02 + np.random.default_rng(k).normal(0, 0.03, (1, 20)) for k in range(4)]
    found = corrected([comparison(table) for table in tables])
    assert [each.p_holm for each in found] == pytest.approx(
        holm([signed_rank(table.mean(0)) for table in tables])
    )
