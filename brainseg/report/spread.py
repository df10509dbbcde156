"""The spread of a configuration's Dice: between patients, and between seeds."""

from dataclasses import dataclass

from brainseg.statistics import Table


@dataclass(frozen=True)
class Spread:
    """Standard deviations of Dice.

    Attributes:
        patients: between patients of one network.
        seeds: between networks that differ in their seed alone, beyond what patient and seed
            together explain; 0 where that is more; None with one seed.
    """

    patients: float
    seeds: float | None


def spread(table: Table) -> Spread:
    """The spread of [S, P], P at least 2, by the mean squares of a two-way layout."""
    seeds, patients = table.shape
    within = float(table.var(axis=1, ddof=1).mean())
    if seeds < 2:
        return Spread(within**0.5, None)
    left = table - table.mean(1)[:, None] - table.mean(0) + table.mean()
    residual = float((left**2).sum() / ((seeds - 1) * (patients - 1)))
    between = float(table.mean(1).var(ddof=1)) - residual / patients
    return Spread(within**0.5, max(0.0, between) ** 0.5)
