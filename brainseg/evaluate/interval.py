"""Scores with 95 % intervals: bootstrap over patients, since slices of a patient are alike."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brainseg.statistics import ends, resampled

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
        exact: the score of all patients, where `statistic` only comes near it.
    """

    statistic: Statistic
    patients: int
    exact: float | None = None

    @property
    def value(self) -> float:
        """The score of all patients; NaN where there are none."""
        if self.exact is not None:
            return self.exact
        return float(self.statistic(np.arange(self.patients))) if self.patients else float("nan")

    def estimate(self, nothing: float | None = None) -> Estimate:
        """The score, its interval (`brainseg.statistics`), and `nothing`.

        Args:
            nothing: what predicting nothing scores, to stand beside it.
        """
        value, patients = self.value, self.patients
        if not patients:
            return Estimate(value, None, None, 0, "no patient has this score")
        if patients < 2:
            return Estimate(value, None, None, 1, "one patient: no interval", nothing)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = resampled(self.statistic, patients)
        if not np.isfinite(drawn).all():
            note = "undefined in some resamples: no interval"
            return Estimate(value, None, None, patients, note, nothing)
        if np.ptp(drawn) == 0:
            note = "the same in every resample: no interval"
            return Estimate(value, None, None, patients, note, nothing)
        return Estimate(value, *ends(drawn), patients, "", nothing)


def mean(values: Floats) -> Estimand:
    """The mean over patients; those without the score (NaN) are left out."""
    known = values[~np.isnan(values)]
    return Estimand(lambda index: known[index].mean(-1), len(known))


def median(values: Floats) -> Estimand:
    """The median over patients; those without the score (NaN) are left out."""
    known = values[~np.isnan(values)]
    return Estimand(lambda index: np.median(known[index], -1), len(known))


def ratio(parts: Floats, wholes: Floats) -> Estimand:
    """The sum of `parts` over the sum of `wholes`; patients without a whole are left out."""
    part, whole = parts[wholes > 0], wholes[wholes > 0]
    return Estimand(lambda index: part[index].sum(-1) / whole[index].sum(-1), len(part))
