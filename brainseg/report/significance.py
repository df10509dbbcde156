"""Paired comparisons over the same patients, and their correction within a family."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration
from brainseg.report.paired import (
    effect_size,
    false_claim,
    holm,
    mean_p,
    ranks_agree,
    signed_rank,
)
from brainseg.report.resample import Table, interval
from brainseg.report.variance import (
    SeedNoise,
    both_p,
    detectable,
    noise,
    patients_needed,
    seed_noise,
)


def differences(
    first: Sequence[Configuration], second: Sequence[Configuration], which: str = "best"
) -> Table:
    """Paired differences [S, P] of test Dice: mean of the first less mean of the second.

    Only seeds and patients that all of them have. Where they have no seed in common, each is first
    pooled over its own, and S is 1. P is 0 where they have no patient in common. Without a second
    it is the mean of the first.
    """
    tables = [(each.best if which == "best" else each.last) for each in (*first, *second)]
    patients = sorted(set.intersection(*(set(table.columns) for table in tables)))
    seeds = _common_seeds([*first, *second])
    if seeds:
        arrays = [table.loc[seeds, patients].to_numpy(dtype=float) for table in tables]
    else:
        arrays = [table[patients].to_numpy(dtype=float).mean(0, keepdims=True) for table in tables]
    plus, minus = arrays[: len(first)], arrays[len(first) :]
    result: Table = np.mean(plus, axis=0) - (np.mean(minus, axis=0) if minus else 0)
    return result


def weight(first: Sequence[Configuration], second: Sequence[Configuration] = ()) -> float:
    """Sum of the squared weights of the networks in a difference of means; 2 for a pair.

    Where they have no seed in common, each is over its own number of seeds already.
    """
    shared = bool(_common_seeds([*first, *second]))
    return sum(
        1 / len(side) ** 2 / (1 if shared else len(each.best))
        for side in (first, second)
        for each in side
    )


def noise_of_seeds(configurations: Sequence[Configuration], which: str = "best") -> SeedNoise:
    """How much mean test Dice varies with the seed, pooled over configurations."""
    tables = [each.best if which == "best" else each.last for each in configurations]
    return seed_noise([table.to_numpy(dtype=float) for table in tables])


def compare(
    table: Table,
    seeds: SeedNoise,
    *,
    family: str,
    first: str,
    second: str,
    which: str = "best",
    size: int = 1,
    weight: float = 2.0,
    leaky: bool = False,
) -> Comparison:
    """One comparison from paired differences; `family` makes the correction.

    Args:
        table: [S, P], first minus second.
        seeds: of one network.
        family: its name.
        first: what is compared.
        second: with what.
        which: the checkpoint that was scored.
        size: how many comparisons the family has.
        weight: sum of the squared weights of the networks: 2 for a pair.
        leaky: whether patients are on both sides of the split.
    """
    by_patient = table.mean(0)
    chance = noise(table, seeds, weight) if len(by_patient) > 1 else None
    mean = float(by_patient.mean()) if by_patient.size else float("nan")
    return Comparison(
        family=family,
        first=first,
        second=second,
        which=which,
        difference=interval(table),
        seeds=len(table),
        patients=len(by_patient),
        wins=float(((np.sign(by_patient) + 1) / 2).mean()) if by_patient.size else 0.5,
        effect=effect_size(by_patient),
        p_wilcoxon=signed_rank(by_patient),
        p_seeds=both_p(mean, chance) if chance else None,
        false_claim=false_claim(by_patient),
        detectable=detectable(chance, comparisons=size) if chance else float("nan"),
        needed=patients_needed(chance, mean, comparisons=size) if chance else None,
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


def _common_seeds(configurations: Sequence[Configuration]) -> list[int]:
    return sorted(set.intersection(*(set(each.best.index) for each in configurations)))
