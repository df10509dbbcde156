"""Statistics of paired differences by patient: correction, signed ranks, effect."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): p_(i) becomes max over j <= i of (m - j + 1) p_(j)."""
    order = np.argsort(p)
    stepped = np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in adjusted]


def signed_rank(by_patient: NDArray[np.float64]) -> float:
    """Two-sided p of the Wilcoxon signed-rank test; ties with 0 are dropped; 1 if all are 0."""
    if not np.any(by_patient):
        return 1.0
    return float(stats.wilcoxon(by_patient, method="auto").pvalue)


def mean_p(by_patient: NDArray[np.float64]) -> float:
    """Two-sided p of Student's paired t-test; 1 if none differs, 0 if all differ by the same."""
    if len(by_patient) < 2 or not np.any(by_patient):
        return 1.0
    spread = float(by_patient.std(ddof=1))
    if spread == 0:
        return 0.0
    t = abs(float(by_patient.mean())) / (spread / np.sqrt(len(by_patient)))
    return float(2 * stats.t.sf(t, len(by_patient) - 1))


def ranks_agree(by_patient: NDArray[np.float64]) -> bool:
    """Whether the signed ranks lean the way the mean does: few outliers can turn one of the two."""
    ranks = stats.rankdata(np.abs(by_patient)) * np.sign(by_patient)
    return bool(np.sign(ranks.sum()) == np.sign(by_patient.mean()))


def effect_size(by_patient: NDArray[np.float64]) -> float:
    """Cohen's d_z, mean / standard deviation of paired differences (ddof 1); 0 if none differs."""
    if len(by_patient) < 2 or not np.any(by_patient):
        return 0.0
    spread = float(by_patient.std(ddof=1))
    return float(by_patient.mean() / spread) if spread > 0 else float("inf")
