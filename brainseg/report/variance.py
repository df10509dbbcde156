"""How much of a mean over patients and seeds is chance: of patients, of seeds, of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from brainseg.statistics import Table

ALPHA = 0.05
POWER = 0.8


@dataclass(frozen=True)
class SeedNoise:
    """How much the mean Dice of one network varies with its seed.

    Attributes:
        variance: between the seeds of one configuration, pooled over configurations.
        freedom: its degrees of freedom; 0 where no configuration has two seeds.
    """

    variance: float
    freedom: int


@dataclass(frozen=True)
class Noise:
    """What a paired difference owes to chance.

    Attributes:
        patient: variance between patients of their differences, pooled over seeds.
        patients: how many.
        seed: variance of the mean difference from seeds.
        freedom: its degrees of freedom; 0 where nothing is known of seeds, and `seed` is 0.
    """

    patient: float
    patients: int
    seed: float
    freedom: int


def seed_noise(tables: Sequence[Table]) -> SeedNoise:
    """Pool the variance between seeds over configurations [S, P], weighted by S - 1.

    Two or three seeds of one configuration tell next to nothing of it; those of a whole sweep do.
    It contains what chance of patient and seed together adds to a mean over the patients, which
    makes every test that uses it a little cautious.
    """
    several = [table.mean(1) for table in tables if len(table) > 1 and table.shape[1]]
    freedom = sum(len(means) - 1 for means in several)
    squares = sum(float(means.var(ddof=1)) * (len(means) - 1) for means in several)
    return SeedNoise(squares / freedom if freedom else 0.0, freedom)


def spread(table: Table) -> tuple[float, float | None]:
    """Standard deviations of Dice [S, P], P at least 2, by the mean squares of a two-way layout.

    Returns:
        Between patients of one network; and between networks that differ in their seed alone,
        beyond what patient and seed together explain: 0 where that is more, None with one seed.
    """
    seeds, patients = table.shape
    within = float(table.var(axis=1, ddof=1).mean()) ** 0.5
    if seeds < 2:
        return within, None
    left = table - table.mean(1)[:, None] - table.mean(0) + table.mean()
    residual = float((left**2).sum() / ((seeds - 1) * (patients - 1)))
    between = float(table.mean(1).var(ddof=1)) - residual / patients
    return within, max(0.0, between) ** 0.5


def noise(table: Table, seeds: SeedNoise, weight: float) -> Noise:
    """The noise of paired differences [S, P], P at least 2.

    Args:
        table: the differences.
        seeds: of one network.
        weight: sum of the squared weights of the configurations in the difference: 2 for a pair.

    The variance from seeds is `weight` times that of one network over S, or what the differences
    themselves show where that is more.
    """
    count, patients = table.shape
    own = float(table.mean(1).var(ddof=1)) / count if count > 1 else 0.0
    pooled = seeds.variance * weight / count
    return Noise(
        float(table.mean(0).var(ddof=1)),
        patients,
        max(own, pooled) if seeds.freedom else 0.0,
        seeds.freedom,
    )


def both_p(mean: float, chance: Noise) -> float | None:
    """Two-sided p of a mean of 0, patients and seeds both drawn at random; None: seeds unknown.

    t = mean / sqrt(s^2 / P + V) with s^2 the variance between patients and V that of the mean from
    seeds, and Satterthwaite's (1946) degrees of freedom. It asks what Clark 1973 asks of words:
    does it hold for other patients and for other seeds?
    """
    if not chance.freedom:
        return None
    variance, freedom = _variance(chance, np.array([chance.patients]))
    if variance[0] <= 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / np.sqrt(variance[0]), freedom[0]))


def detectable(chance: Noise, *, comparisons: int = 1) -> float:
    """The smallest true difference that a two-sided test would have found 4 times in 5.

    (t_{1 - alpha / 2} + t_{0.8}) SE, as in any text on sample size, with SE and degrees of freedom
    of `both_p`.

    Args:
        chance: the noise of the paired differences.
        comparisons: size of the family; alpha is 0.05 divided by it (Holm's first step).
    """
    return float(_detectable(chance, np.array([chance.patients]), comparisons)[0])


def _detectable(
    chance: Noise, patients: NDArray[np.int64], comparisons: int
) -> NDArray[np.floating]:
    variance, freedom = _variance(chance, patients)
    shift = stats.t.ppf(1 - ALPHA / comparisons / 2, freedom) + stats.t.ppf(POWER, freedom)
    result: NDArray[np.floating] = shift * np.sqrt(variance)
    return result


def _variance(
    chance: Noise, patients: NDArray[np.int64]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Variance of the mean with other numbers of patients, and its degrees of freedom."""
    of_patients = chance.patient / patients
    variance = of_patients + chance.seed
    weight = of_patients**2 / (patients - 1)
    if chance.freedom:
        weight = weight + chance.seed**2 / chance.freedom
    return variance, np.maximum(variance**2 / np.maximum(weight, 1e-300), 1.0)
