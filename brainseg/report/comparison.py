"""One paired comparison: how large a difference is, and what may be said of it."""

from dataclasses import dataclass
from typing import Literal

from brainseg.report.variance import ALPHA
from brainseg.statistics import Interval

Verdict = Literal["ahead", "behind", "networks", "seeds", "noise", "same", "few", "leaky"]
FEWEST = 6  # patients: with fewer no two-sided signed-rank test reaches 0.05


@dataclass(frozen=True)
class Comparison:
    """One paired comparison, first minus second.

    Attributes:
        family: what it was corrected with.
        first: what is compared, in words.
        second: with what.
        which: the checkpoint that was scored, best or last.
        difference: of mean test Dice by patient, with its interval over patients and seeds.
        seeds: that both have; without any, the means over each one's own are compared.
        patients: patients that both have.
        wins: share of the patients on which the first is better; ties count half.
        effect: Cohen's d_z: mean over standard deviation of the patients' differences.
        p_wilcoxon: of the signed-rank test over patients.
        p_seeds: of the test to which patients and seeds are both chance; None where no
            configuration has two seeds.
        p_mean: of Student's paired t-test over patients.
        agree: whether ranks and mean point the same way.
        leaky: whether patients are on both sides of the split.
        p_wilcoxon_holm: that of the signed ranks, corrected within the family.
        p_patients_holm: the larger of both over patients alone, corrected within the family.
        p_holm: the larger of `p_wilcoxon` and `p_seeds`, corrected within the family.
        detectable: the smallest true difference that would have been found 4 times in 5.
    """

    family: str
    first: str
    second: str
    which: str
    difference: Interval
    seeds: int
    patients: int
    wins: float
    effect: float
    p_wilcoxon: float
    p_seeds: float | None
    detectable: float
    p_mean: float
    agree: bool
    leaky: bool = False
    p_wilcoxon_holm: float = 1.0
    p_patients_holm: float = 1.0
    p_holm: float = 1.0

    @property
    def verdict(self) -> Verdict:
        """What may be said of it.

        ahead, behind: beyond the noise of patients and seeds: both p, corrected, below 0.05, 0
        outside the interval, and ranks and mean point the same way. networks: the same with one
        seed, so of these networks alone. seeds: beyond the noise of patients by ranks and mean,
        within that of seeds. noise: neither. same: no patient differs. few: too few patients for
        any test. leaky: says nothing of patients it has not seen.
        """
        if self.leaky:
            return "leaky"
        if self.wins == 0.5 and self.difference == Interval(0.0, 0.0, 0.0):
            return "same"
        if self.patients < FEWEST:
            return "few"
        clear = not self.difference.low <= 0 <= self.difference.high
        if self.p_holm < ALPHA and clear and self.agree:
            if self.p_seeds is None:
                return "networks"
            return "ahead" if self.difference.mean > 0 else "behind"
        alone = self.p_patients_holm < ALPHA and self.agree
        return "seeds" if alone and self.p_seeds is not None else "noise"
