import numpy as np
import pytest
from scipy import stats

from brainseg.report.variance import (
    Noise,
    SeedNoise,
    both_p,
    detectable,
    noise,
    seed_noise,
    spread,
)


def crossed(
    rng: np.random.Generator, *, seeds: int, patients: int, sd: tuple[float, float, float]
) -> np.ndarray:
    of_seed, of_patient, rest = sd
    return (
        rng.normal(0, of_seed, (seeds, 1))
        + rng.normal(0, of_patient, patients)
        + rng.normal(0, rest, (seeds, patients))
    )


def test_the_spread_is_that_the_table_was_drawn_from() -> None:
    rng = np.random.default_rng(0)
    found = [spread(crossed(rng, seeds=6, patients=40, sd=(0.3, 0.5, 0.2))) for _ in range(300)]
    assert np.mean([(seeds or 0) ** 2 for _, seeds in found]) == pytest.approx(0.09, rel=0.1)
    assert np.mean([patients**2 for patients, _ in found]) == pytest.approx(0.25 + 0.04, rel=0.1)


def test_with_one_seed_only_the_spread_between_patients_is_known() -> None:
    patients, seeds = spread(np.array([[0.1, 0.3, 0.8]]))
    assert patients == pytest.approx(np.std([0.1, 0.3, 0.8], ddof=1))
    assert seeds is None


def test_the_noise_of_seeds_is_pooled_over_configurations_by_hand() -> None:
    first, second = np.array([[0.1, 0.3], [0.5, 0.7]]), np.array([[0.0], [0.1], [0.2]])
    found = seed_noise([first, second, np.array([[0.5, 0.9]])])
    assert found == SeedNoise(pytest.approx((0.08 * 1 + 0.01 * 2) / 3), 3)
    assert seed_noise([np.array([[0.5, 0.9]])]) == SeedNoise(0.0, 0)


def test_the_noise_of_a_pair_by_hand() -> None:
    table = np.array([[0.0, 0.2], [0.0, 0.2]])
    assert noise(table, SeedNoise(0.01, 5), 2.0) == Noise(pytest.approx(0.02), 2, 0.01, 5)


def test_a_pair_whose_own_seeds_differ_more_is_not_made_to_look_steady() -> None:
    table = np.array([[0.0, 0.0], [0.4, 0.4]])
    assert noise(table, SeedNoise(0.0001, 5), 2.0).seed == pytest.approx(0.08 / 2)


def test_where_no_configuration_has_two_seeds_nothing_is_said_of_seeds() -> None:
    assert both_p(0.5, noise(np.array([[0.1, 0.9]]), SeedNoise(0.0, 0), 2.0)) is None


def test_without_noise_of_seeds_it_is_the_paired_t_test_over_patients() -> None:
    patients = np.random.default_rng(0).normal(0.1, 0.2, 15)
    chance = noise(np.repeat(patients[None], 4, axis=0), SeedNoise(0.0, 9), 2.0)
    expected = stats.ttest_1samp(patients, 0).pvalue
    assert both_p(float(patients.mean()), chance) == pytest.approx(expected)


def test_without_noise_of_patients_it_is_the_t_test_over_seeds() -> None:
    seeds = np.random.default_rng(1).normal(0.1, 0.2, 4)
    table = np.repeat(seeds[:, None], 15, axis=1)
    chance = noise(table, SeedNoise(0.0, 3), 2.0)
    expected = stats.ttest_1samp(seeds, 0).pvalue
    assert both_p(float(seeds.mean()), chance) == pytest.approx(expected)


@pytest.mark.parametrize("sd", [(0.3, 0.3, 0.1), (0.02, 0.3, 0.1), (0.3, 0.0, 0.3)])
@pytest.mark.parametrize("seeds", [2, 3])
def test_a_true_null_is_rejected_at_most_about_1_time_in_20(
    seeds: int, sd: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(300):
        tables = [crossed(rng, seeds=seeds, patients=13, sd=sd) for _ in range(4)]
        differ = tables[0] - tables[1]
        p = both_p(float(differ.mean()), noise(differ, seed_noise(tables), 2.0))
        rejected += p is not None and p < 0.05
    assert rejected / 300 <= 0.07


def test_the_detectable_difference_is_that_of_the_textbook() -> None:
    # d = 0.5, two-sided 0.05, power 0.8: 34 pairs (G*Power, Cohen 1988)
    parts = Noise(patient=1.0, patients=34, seed=0.0, freedom=0)
    assert detectable(parts) == pytest.approx(0.5, abs=0.01)


def test_the_detectable_difference_is_found_4_times_in_5() -> None:
    rng = np.random.default_rng(0)
    least = detectable(Noise(0.04, 20, 0.0, 0))
    found = [stats.ttest_1samp(rng.normal(least, 0.2, 20), 0).pvalue < 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_more_comparisons_need_larger_differences() -> None:
    parts = Noise(0.04, 20, 0.0, 0)
    assert detectable(parts, comparisons=8) > detectable(parts)
