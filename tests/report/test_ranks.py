import numpy as np
import pytest
import scikit_posthocs
from scipy import stats

from brainseg.report.configurations import pool
from brainseg.report.ranks import cliques, critical_difference, friedman, rank
from tests.report.synthetic import Truth, result, sweep


def test_critical_differences_are_those_of_demsar() -> None:
    # Demsar 2006, table 5a: q of 0.05 is 2.343 for 3, 2.728 for 5 and 3.164 for 10
    for count, q in ((3, 2.343), (5, 2.728), (10, 3.164)):
        by_hand = q * np.sqrt(count * (count + 1) / (6 * 14))
        assert critical_difference(count, 14) == pytest.approx(by_hand, rel=1e-3)


def test_the_critical_difference_parts_what_scikit_posthocs_nemenyi_test_parts() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, 14)) + np.linspace(0, 1.5, 6)[:, None]  # [K, P]
    mean = stats.rankdata(-scores, axis=0).mean(1)
    apart = np.abs(mean[:, None] - mean) > critical_difference(6, 14)
    nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(scores.T).to_numpy()
    assert 0 < apart.sum() < 30
    np.testing.assert_array_equal(apart, nemenyi < 0.05)


def test_cliques_by_hand() -> None:
    means = np.array([1.0, 1.5, 3.0, 3.2])
    assert cliques(means, 1.6) == [(1.0, 1.5), (1.5, 3.0), (3.0, 3.2)]
    assert cliques(means, 5.0) == [(1.0, 3.2)]
    assert cliques(means, 0.1) == []


def test_friedman_is_that_of_scipy_and_1_where_all_are_equal() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 12))
    assert friedman(scores) == stats.friedmanchisquare(*scores).pvalue
    assert friedman(np.ones((4, 12))) == 1.0


def test_a_planted_best_comes_first_nearly_always() -> None:
    truth = Truth(lambda levels: 0.1 * (levels["norm"] == "b"))
    found = rank(pool(sweep({"norm": ["a", "b", "c"], "seed": [0, 1]}, truth)))
    assert found is not None
    best = found.names.index("b norm")
    assert found.first[best] > 0.99
    assert found.mean[best] < 1.2
    assert (found.low[best], found.high[best]) == (1, 1)
    assert found.friedman is not None
    assert found.friedman < 0.001


def test_more_than_10_configurations_have_no_critical_difference() -> None:
    found = rank(pool(sweep({"model.net.width": list(range(11))})))
    assert found is not None
    assert found.critical is None


def test_one_common_patient_gives_no_ranks() -> None:
    made = [result({"norm": n}, {"val": [0.5], "test": [0.5]}) for n in "ab"]
    assert rank(pool(made)) is None
