"""Configurations as ranks: Friedman's test, critical difference, and how stable the order is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from brainseg.report.configurations import Configuration
from brainseg.report.resample import LEVEL, rank_draws
from brainseg.report.variance import ALPHA

MOST = 10  # configurations in a critical-difference diagram


@dataclass(frozen=True)
class Ranks:
    """How configurations rank over the patients that all of them were tested on.

    Attributes:
        names: of the configurations, in val order.
        mean: mean rank over patients, 1 is best; Dice pooled over seeds, ties share ranks.
        friedman: p of Friedman's test; None with fewer than three configurations.
        critical: Nemenyi's critical difference of mean ranks (Demsar 2006); None for more than 10
            configurations.
        first: share of the bootstrap draws in which a configuration has the highest mean Dice.
        low: lower end of the 95 % interval of its rank by mean Dice.
        high: its upper end.
        patients: how many.
    """

    names: list[str]
    mean: NDArray[np.float64]
    friedman: float | None
    critical: float | None
    first: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    patients: int


def rank(configurations: Sequence[Configuration]) -> Ranks | None:
    """Rank configurations of one split; None where they share fewer than two patients."""
    tables = [each.best for each in configurations]
    patients = sorted(set.intersection(*(set(table.columns) for table in tables)))
    if len(patients) < 2 or len(tables) < 2:
        return None
    pooled = np.stack([table[patients].to_numpy(dtype=float).mean(0) for table in tables])  # [K, P]
    drawn = rank_draws(_with_seeds(configurations, patients))
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=1)
    return Ranks(
        names=[each.name for each in configurations],
        mean=stats.rankdata(-pooled, axis=0).mean(1),
        friedman=friedman(pooled) if len(tables) > 2 else None,
        critical=critical_difference(*pooled.shape) if len(tables) <= MOST else None,
        first=(drawn == drawn.min(0)).mean(1),
        low=low,
        high=high,
        patients=len(patients),
    )


def friedman(scores: NDArray[np.float64]) -> float:
    """P of Friedman's test that K >= 3 configurations [K, P] rank alike; 1 if all are equal."""
    if np.ptp(scores, axis=0).max() == 0:
        return 1.0
    return float(stats.friedmanchisquare(*scores).pvalue)


def critical_difference(configurations: int, patients: int) -> float:
    """Nemenyi: q_alpha sqrt(K (K + 1) / (6 N)), q the Studentized range over sqrt 2 (Demsar 2006).

    Mean ranks that differ by less are not told apart at the level 0.05.
    """
    quantile = stats.studentized_range.ppf(1 - ALPHA, configurations, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(configurations * (configurations + 1) / (6 * patients)))


def cliques(mean: NDArray[np.float64], critical: float) -> list[tuple[float, float]]:
    """Stretches of mean ranks that are not told apart, the largest ones alone: (low, high)."""
    ordered = np.sort(mean)
    stretches: list[tuple[float, float]] = []
    for start in ordered:
        end = ordered[ordered <= start + critical][-1]
        if end > start and not (stretches and stretches[-1][1] >= end):
            stretches.append((float(start), float(end)))
    return stretches


def _with_seeds(
    configurations: Sequence[Configuration], patients: Sequence[str]
) -> NDArray[np.float64]:
    """Dice [K, S, P] of the seeds that all have; where there is none, pooled, and S is 1."""
    tables = [each.best[list(patients)] for each in configurations]
    seeds = sorted(set.intersection(*(set(table.index) for table in tables)))
    if not seeds:
        return np.stack([table.to_numpy(dtype=float).mean(0, keepdims=True) for table in tables])
    return np.stack([table.loc[seeds].to_numpy(dtype=float) for table in tables])
