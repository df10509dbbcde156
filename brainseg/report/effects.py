"""What each factor does: its levels compared in equal company."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration, same_model
from brainseg.report.factors import level_order
from brainseg.report.significance import (
    compare,
    corrected,
    differences,
    noise_of_seeds,
)
from brainseg.statistics import Interval, interval

Pairs = list[tuple[Configuration, Configuration]]


@dataclass(frozen=True)
class Effect:
    """One factor.

    Attributes:
        factor: its name.
        which: the checkpoint that it is judged on: last for epochs, else best.
        means: mean test Dice of each level over the combinations that all levels have, with its
            interval over patients and seeds.
        seeds: by level, the mean test Dice of each seed.
        pairs: its levels, two by two, corrected within the factor.
        same: how many pairs of configurations are one and the same model at their best epoch.
    """

    factor: str
    which: str
    means: dict[str, Interval]
    seeds: dict[str, list[float]]
    pairs: list[Comparison]
    same: int = 0


def effect(factor: str, configurations: Sequence[Configuration]) -> Effect:
    """The effect of a factor among configurations of one split.

    Two levels are compared as the mean over all pairs of configurations that differ in that factor
    alone. `epochs` is judged on the last checkpoint: the best of 100 epochs contains that of 50.
    """
    which = "last" if factor == "epochs" else "best"
    order = level_order(factor, [each.levels[factor] for each in configurations])
    seeds = noise_of_seeds(configurations, which)
    complete = _complete(factor, order, configurations)
    matched = {pair: _matched(factor, *pair, configurations) for pair in combinations(order, 2)}
    known = {pair: found for pair, found in matched.items() if found}
    pairs = [
        compare(
            differences([one for one, _ in found], [other for _, other in found], which),
            seeds,
            family=factor,
            first=f"{factor}={high}",
            second=f"{factor}={low}",
            which=which,
            size=len(known),
            leaky=any(each.leaky for each in configurations),
        )
        for (high, low), found in known.items()
    ]
    tables = {
        level: differences(complete[level], which=which).table for level in order if complete[level]
    }
    return Effect(
        factor,
        which,
        {level: interval(table) for level, table in tables.items()},
        {level: [float(value) for value in table.mean(1)] for level, table in tables.items()},
        corrected(pairs),
        sum(same_model(*pair) for found in known.values() for pair in found),
    )


def _matched(
    factor: str, first: str, second: str, configurations: Sequence[Configuration]
) -> Pairs:
    """Pairs of configurations that differ in one factor alone."""
    of_second = [each for each in configurations if each.levels[factor] == second]
    others = {_others(each, factor): each for each in of_second}
    return [
        (each, others[_others(each, factor)])
        for each in configurations
        if each.levels[factor] == first and _others(each, factor) in others
    ]


def _complete(
    factor: str, order: Sequence[str], configurations: Sequence[Configuration]
) -> dict[str, list[Configuration]]:
    """By level, the configurations whose company exists with every level."""
    company: dict[tuple[str, ...], int] = {}
    for each in configurations:
        key = _others(each, factor)
        company[key] = company.get(key, 0) + 1
    whole = {key for key, count in company.items() if count == len(order)}
    return {
        level: [
            each
            for each in configurations
            if each.levels[factor] == level and _others(each, factor) in whole
        ]
        for level in order
    }


def _others(configuration: Configuration, factor: str) -> tuple[str, ...]:
    return tuple(level for name, level in configuration.levels.items() if name != factor)
