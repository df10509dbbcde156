"""A row of the table: two things measured side by side, their ratio, and its target."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Target:
    """What a ratio must be.

    Attributes:
        bound: the number itself is still met.
        at_least: whether the ratio must be at least the bound, or at most.
    """

    bound: float
    at_least: bool

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"

    def met(self, ratio: float) -> bool:
        """Whether a ratio meets it."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound


def at_least(bound: float) -> Target:
    """The target of a ratio of speeds."""
    return Target(bound, at_least=True)


def at_most(bound: float) -> Target:
    """The target of a ratio of costs."""
    return Target(bound, at_least=False)


@dataclass(frozen=True)
class Row:
    """Ours beside something else, round by round.

    Attributes:
        what: ours.
        against: what it is compared with.
        unit: of the values: `slices/s`, `s`, `MB`.
        ours: a value a round.
        theirs: likewise, of the same rounds; one value is a fixed limit.
        target: what the median ratio must be, or None where the row only informs.
        skipped: why nothing was measured; empty where something was.
    """

    what: str
    against: str
    unit: str = ""
    ours: Sequence[float] = ()
    theirs: Sequence[float] = ()
    target: Target | None = None
    skipped: str = ""

    def __str__(self) -> str:
        measured = self.skipped or f"{self.ratio:.2f} ({median(self.ours):.3g} {self.unit})"
        return f"{self.what} / {self.against}: {measured}"

    @property
    def ratios(self) -> list[float]:
        """Ours / theirs of each round, which were measured one after the other."""
        theirs = self.theirs if len(self.theirs) > 1 else list(self.theirs) * len(self.ours)
        return [mine / other for mine, other in zip(self.ours, theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios."""
        return median(self.ratios)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        return None if self.target is None or self.skipped else self.target.met(self.ratio)
