"""The bootstrap over patients and seeds, and the intervals from its draws; there is one.

Of a run's own scores (`evaluate`) and of paired differences (`report`) alike. Percentiles of n - 1
draws, not BCa: a difference of two configurations and the Dice of one then have the same intervals
wherever they stand, also over seeds, for which no jackknife is defined, and the variance of the
draws is that of the mean, which n draws put too low where patients are few.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DRAWS = 9999
LEVEL = 0.95
_AT_ONCE = 500  # draws of a general score, so that memory stays flat

Table = NDArray[np.float64]  # [..., S, P]: a row per seed, a column per patient


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval; both ends are nan where one patient alone was tested."""

    mean: float
    low: float
    high: float


def draws(table: Table, *, seed: int = 0, count: int | None = None) -> NDArray[np.float64]:
    """Means of bootstrap samples of patients and, where there are several, of seeds: [..., count].

    Patients and seeds are drawn independently (a crossed, or hierarchical, bootstrap), the same
    for every leading axis, so that differences between its entries are paired. From n patients
    n - 1 are drawn and from S seeds S - 1, with replacement: then the variance of a draw is that
    of the mean, s^2 / n, which n draws would put (n - 1) / n too low (Rao and Wu 1988).

    Args:
        table: [..., S, P].
        seed: of the draws.
        count: how many; None: `DRAWS`.
    """
    count = count or DRAWS
    seeds, patients = table.shape[-2:]
    by_seed = _weights((seed, 0), seeds, count)  # [count, S]
    by_patient = _weights((seed, 1), patients, count)  # [count, P]
    means: NDArray[np.float64] = ((by_seed @ table) * by_patient).sum(-1)
    return means


def interval(table: Table) -> Interval:
    """Mean of a table [S, P], with the 95 % percentile interval of `draws`."""
    mean = float(table.mean()) if table.size else float("nan")
    if table.shape[-1] < 2:
        return Interval(mean, float("nan"), float("nan"))
    return _between(mean, draws(table))


def unpaired(first: Table, second: Table) -> Interval:
    """Difference of the means of two tables [S, P] that share neither seeds nor patients.

    Each is drawn by itself. Where the patients are partly the same the interval is too wide rather
    than too narrow.
    """
    mean = float(first.mean() - second.mean())
    if min(first.shape[-1], second.shape[-1]) < 2:
        return Interval(mean, float("nan"), float("nan"))
    return _between(mean, draws(first, seed=1) - draws(second))


def _between(mean: float, drawn: NDArray[np.float64]) -> Interval:
    return Interval(mean, *ends(drawn))


def ends(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """Lower and upper end of the 95 % percentile interval."""
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)


def resampled(
    score: Callable[[NDArray[np.int64]], NDArray[np.float64]], patients: int
) -> NDArray[np.float64]:
    """Any score of the patients in each draw, [DRAWS]; the patients of `draws`.

    Args:
        score: from numbers of patients [..., n], with repeats, to the score of each sample [...].
        patients: how many there are, 2 or more.
    """
    counts = np.rint(_weights((0, 1), patients, DRAWS) * (patients - 1)).astype(np.int64)
    every = np.tile(np.arange(patients), (len(counts), 1))
    index = np.repeat(every.ravel(), counts.ravel()).reshape(len(counts), patients - 1)
    parts = np.array_split(index, -(-len(index) // _AT_ONCE))
    return np.concatenate([score(part) for part in parts])


@lru_cache(maxsize=8)  # every comparison of a sweep draws the same patients and seeds
def _weights(seed: tuple[int, int], units: int, count: int) -> NDArray[np.float64]:
    """Share of each unit in each draw: [count, units]."""
    if units < 2:
        return np.ones((count, units))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(units - 1, np.full(units, 1 / units), size=count)
    shares: NDArray[np.float64] = drawn / (units - 1)
    return shares
