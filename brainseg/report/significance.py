"""Paired comparisons over the same patients, and their correction within a family."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration
from brainseg.report.paired import (
    effect_size,
    holm,
    mean_p,
    ranks_agree,
    signed_rank,
)
from brainseg.report.variance import (
    SeedNoise,
    both_p,
    detectable,
    noise,
    seed_noise,
)
from brainseg.statistics import Table, interval


@dataclass(frozen=True)
class Differences:
    """Paired differences of test Dice.

    Attributes:
        table: [S, P]: a row per common seed, or one row of means where there is none.
        seeds: in common.
        weight: sum of the squared weights of the networks in a row; 2 for a pair.
    """

    table: Table
    seeds: int
    weight: float = 2.0


def differences(
    first: Sequence[Configuration], second: Sequence[Configuration] = (), which: str = "best"
) -> Differences:
    """Mean of the first less mean of the second, or the mean of the first alone.

    Only seeds and patients that all of them have. Where they have no seed in common, each is first
    pooled over its own. P is 0 where they have no patient in common.
    """
    tables = [(each.best if which == "best" else each.last) for each in (*first, *second)]
    patients = sorted(set.intersection(*(set(table.columns) for table in tables)))
    seeds = sorted(set.intersection(*(set(table.index) for table in tables)))
    if seeds:
        arrays = [table.loc[seeds, patients].to_numpy(dtype=float) for table in tables]
    else:
        arrays = [table[patients].to_numpy(dtype=float).mean(0, keepdims=True) for table in tables]
    plus, minus = arrays[: len(first)], arrays[len(first) :]
    weight = sum(
        1 / len(side) ** 2 / (1 if seeds else len(each.best))  # else over its seeds already
        for side in (first, second)
        for each in side
    )
    table: Table = np.mean(plus, axis=0) - (np.mean(minus, axis=0) if minus else 0)
    return Differences(table, len(seeds), weight)


def noise_of_seeds(configurations: Sequence[Configuration], which: str = "best") -> SeedNoise:
    """How much mean test Dice varies with the seed, pooled over configurations."""
    tables = [each.best if which == "best" else each.last for each in configurations]
    return seed_noise([table.to_numpy(dtype=float) for table in tables])


def compare(
    differ: Differences,
    seeds: SeedNoise,
    *,
    family: str,
    first: str,
    second: str,
    which: str = "best",
    size: int = 1,
    leaky: bool = False,
) -> Comparison:
    """One comparison from paired differences; `family` makes the correction.

    Args:
        differ: first minus second.
        seeds: of one network.
        family: its name.
        first: what is compared.
        second: with what.
        which: the checkpoint that was scored.
        size: how many comparisons the family has.
        leaky: whether patients are on both sides of the split.
    """
    by_patient = differ.table.mean(0)
    chance = noise(differ.table, seeds, differ.weight) if len(by_patient) > 1 else None
    mean = float(by_patient.mean()) if by_patient.size else float("nan")
    return Comparison(
        family=family,
        first=first,
        second=second,
        which=which,
        difference=interval(differ.table),
        seeds=differ.seeds,
        patients=len(by_patient),
        wins=float(((np.sign(by_patient) + 1) / 2).mean()) if by_patient.size else 0.5,
        effect=effect_size(by_patient),
        p_wilcoxon=signed_rank(by_patient),
        p_seeds=both_p(mean, chance) if chance else None,
        detectable=detectable(chance, comparisons=size) if chance else float("nan"),
        p_mean=mean_p(by_patient),
        agree=ranks_agree(by_patient) if by_patient.size else True,
        leaky=leaky,
    )


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one family, with Holm's correction within it.

    A pair that is one and the same model on every patient is no test and does not count.
    """
    tested = [each for each in comparisons if each.verdict != "same"]
    of_patients = holm([each.p_wilcoxon for each in tested])
    of_ranks_and_mean = holm([max(each.p_wilcoxon, each.p_mean) for each in tested])
    of_both = holm([max(each.p_wilcoxon, each.p_seeds or 0.0) for each in tested])
    found = {
        id(each): replace(each, p_wilcoxon_holm=ranks, p_patients_holm=patients, p_holm=both)
        for each, ranks, patients, both in zip(
            tested, of_patients, of_ranks_and_mean, of_both, strict=True
        )
    }
    return [found.get(id(each), each) for each in comparisons]
