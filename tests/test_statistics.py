import numpy as np
import pytest

from brainseg.statistics import DRAWS, draws, interval, resampled, unpaired


def test_the_bootstrap_has_the_variance_of_the_mean_over_patients() -> None:
    table = np.random.default_rng(0).normal(size=(1, 12))
    expected = table.var(ddof=1) / 12
    assert draws(table, count=40_000).var() == pytest.approx(expected, rel=0.03)


def test_the_bootstrap_has_the_variance_of_the_mean_over_seeds() -> None:
    seeds = np.array([[0.1], [0.4], [0.2]])
    table = np.repeat(seeds, 50, axis=1)  # patients all alike
    assert draws(table, count=40_000).var() == pytest.approx(seeds.var(ddof=1) / 3, rel=0.03)


def test_draws_are_centred_and_repeatable() -> None:
    table = np.random.default_rng(1).normal(size=(3, 20))
    assert draws(table).mean() == pytest.approx(table.mean(), abs=0.02)
    assert np.array_equal(draws(table), draws(table))
    assert not np.array_equal(draws(table), draws(table, seed=1))


def test_a_difference_of_two_tables_is_drawn_as_a_pair() -> None:
    table = np.random.default_rng(2).normal(size=(2, 15))
    both = draws(np.stack([table, table + 0.25]))
    assert np.allclose(both[1] - both[0], 0.25)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(300):
        patients, seeds = rng.normal(0, 0.1, 40), rng.normal(0, 0.02, 8)
        found = interval(seeds[:, None] + patients + rng.normal(0, 0.03, (8, 40)))
        hits += found.low <= 0 <= found.high
    assert 0.91 <= hits / 300 <= 0.98


def test_an_unpaired_difference_has_the_variances_of_both() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(0.8, 0.1, (1, 40)), rng.normal(0.7, 0.2, (1, 40))
    error = np.sqrt(first.var(ddof=1) / 40 + second.var(ddof=1) / 40)
    found = unpaired(first, second)
    assert found.mean == pytest.approx(first.mean() - second.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.06)


def test_one_patient_has_no_interval() -> None:
    found = interval(np.array([[0.5]]))
    assert found.mean == 0.5
    assert np.isnan([found.low, found.high]).all()


def test_resamples_of_one_network_are_the_draws_of_its_patients() -> None:
    dice = np.random.default_rng(5).beta(5, 2, 13)
    drawn = resampled(lambda index: dice[index].mean(-1), len(dice))
    assert drawn == pytest.approx(draws(dice[None]))


def test_resamples_leave_one_patient_out_and_repeat_others() -> None:
    seen: list[np.ndarray] = []

    def keep(index: np.ndarray) -> np.ndarray:
        seen.append(index)
        return index.mean(-1)

    resampled(keep, 4)
    index = np.concatenate(seen)
    assert index.shape == (DRAWS, 3)
    assert set(np.unique(index)) == {0, 1, 2, 3}
