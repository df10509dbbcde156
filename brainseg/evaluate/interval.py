"""Scores with 95 % intervals: bootstrap over patients, since slices of a patient are alike."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 9999
LEVEL = 0.95
_BATCH = 500  # resamples at a time, so that memory stays flat

Floats = NDArray[np.float64]
# Numbers of patients [..., n], with repeats, to the score of each sample [...]
Statistic = Callable[[NDArray[np.int64]], Floats]


@dataclass(frozen=True)
class Estimate:
    """A score of a set of patients.

    Attributes:
        value: the score; NaN where no patient has one.
        low: lower end of the 95 % interval; None where there is none.
        high: upper end.
        patients: how many it rests on.
        note: why the interval is missing or unusual.
        nothing: what predicting nothing scores; None where that means nothing.
    """

    value: float
    low: float | None
    high: float | None
    patients: int
    note: str = ""
    nothing: float | None = None


@dataclass(frozen=True)
class Estimand:
    """What is estimated.

    Attributes:
        statistic: from samples of patients to their score.
        patients: how many there are.
        method: BCa (Efron 1987, bias-corrected and accelerated), or percentile for scores such as
            a median, whose jackknife means nothing. Where BCa is undefined, percentile stands in.
    """

    statistic: Statistic
    patients: int
    method: str = "BCa"

    @property
    def value(self) -> float:
        """The score of all patients; NaN where there are none."""
        return float(self.statistic(np.arange(self.patients))) if self.patients else float("nan")

    def estimate(self, nothing: float | None = None) -> Estimate:
        """The score, its interval from 9,999 resamples (the same ones every time), and `nothing`.

        Args:
            nothing: what predicting nothing scores, to stand beside it.
        """
        value, patients = self.value, self.patients
        if not patients:
            return Estimate(value, None, None, 0, "no patient has this score")
        if patients < 2:
            return Estimate(value, None, None, 1, "one patient: no interval", nothing)
        for tried in dict.fromkeys((self.method, "percentile")):
            low, high, draws = _bootstrap(self.statistic, patients, tried)
            if np.ptp(draws) == 0:
                note = "the same in every resample: no interval"
                return Estimate(value, None, None, patients, note, nothing)
            if np.isfinite([low, high]).all():
                note = "" if tried == self.method else "percentile interval: BCa is undefined here"
                return Estimate(value, low, high, patients, note, nothing)
        note = "undefined in some resamples: no interval"
        return Estimate(value, None, None, patients, note, nothing)


def mean(values: Floats) -> Estimand:
    """The mean over patients; those without the score (NaN) are left out."""
    known = values[~np.isnan(values)]
    return Estimand(lambda index: known[index].mean(-1), len(known))


def median(values: Floats) -> Estimand:
    """The median over patients; those without the score (NaN) are left out."""
    known = values[~np.isnan(values)]
    return Estimand(lambda index: np.median(known[index], -1), len(known), method="percentile")


def ratio(parts: Floats, wholes: Floats) -> Estimand:
    """The sum of `parts` over the sum of `wholes`; patients without a whole are left out."""
    part, whole = parts[wholes > 0], wholes[wholes > 0]
    return Estimand(lambda index: part[index].sum(-1) / whole[index].sum(-1), len(part))


def _bootstrap(statistic: Statistic, patients: int, method: str) -> tuple[float, float, Floats]:
    def of(index: NDArray[np.int64], axis: int = -1) -> Floats:
        return statistic(np.moveaxis(index, axis, -1))

    with warnings.catch_warnings():  # DegenerateDataWarning, and the divisions behind it
        warnings.simplefilter("ignore")
        result: Any = stats.bootstrap(
            (np.arange(patients),),
            of,
            n_resamples=RESAMPLES,
            batch=_BATCH,
            vectorized=True,
            confidence_level=LEVEL,
            method=method,
            rng=np.random.default_rng(0),
        )
    low, high = result.confidence_interval
    return float(low), float(high), result.bootstrap_distribution
