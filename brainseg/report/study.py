"""All that a report says, computed once: who was chosen, by how much, and what else was found."""

from collections.abc import Sequence
from dataclasses import dataclass

from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration, group, pool, same_folds, same_model
from brainseg.report.effects import Effect, effect
from brainseg.report.gather import Found
from brainseg.report.rates import RATE, at_each_rate, at_own_rate, swept
from brainseg.report.significance import (
    compare,
    corrected,
    differences,
    noise_of_seeds,
)
from brainseg.statistics import Interval, interval


@dataclass(frozen=True)
class Judgement:
    """The choice among configurations of one split.

    Attributes:
        configurations: in val order; the first is the winner.
        test: mean test Dice of the winner by patient; None without test scores.
        lead: of the winner over the next on val that is another model; None where there is none.
        runner_up: that one.
        against: the winner with every other, corrected together.
    """

    configurations: list[Configuration]
    test: Interval | None
    lead: Comparison | None
    runner_up: Configuration | None
    against: list[Comparison]

    @property
    def winner(self) -> Configuration:
        """The best on val."""
        return self.configurations[0]


@dataclass(frozen=True)
class Study:
    """The content of a report.

    Attributes:
        found: the cells.
        configurations: all of them, group by group, in val order.
        groups: those of one split each; the first is judged.
        fair: whether each is taken at its own best learning rate on val.
        main: the judgement.
        by_rate: the judgement at each fixed learning rate, where it is swept.
        effects: of each factor.
    """

    found: Found
    configurations: list[Configuration]
    groups: list[list[Configuration]]
    fair: bool
    main: Judgement
    by_rate: dict[str, Judgement]
    effects: list[Effect]

    @property
    def factors(self) -> list[str]:
        """The names of the factors."""
        return list(self.configurations[0].levels)

    @property
    def comparisons(self) -> list[Comparison]:
        """Every paired comparison."""
        levels = [pair for each in self.effects for pair in each.pairs]
        rates = [each for one in self.by_rate.values() for each in one.against]
        return [*self.main.against, *levels, *rates]


def study(found: Found) -> Study:
    """Compute everything from the cells that were found.

    Raises:
        ValueError: no cell is finished, or a patient is tested twice with one seed.
    """
    if not found.results:
        lines = [f"{each.name} {each.state}: {each.reason}" for each in found.absent]
        lines.append("no cell is finished; run the sweep's command, then report again")
        raise ValueError("\n".join(lines))
    configurations = pool(found.results)
    groups = [same_folds(members) for members in group(configurations)]
    configurations = [each for members in groups for each in members]
    fair = swept(groups[0])
    judged = at_own_rate(groups[0]) if fair else groups[0]
    rates = at_each_rate(groups[0]) if fair else {}
    return Study(
        found=found,
        configurations=configurations,
        groups=groups,
        fair=fair,
        main=judge(judged),
        by_rate={rate: judge(each, f"at {RATE}={rate}") for rate, each in rates.items()},
        effects=_effects(judged, groups[0] if fair else judged),
    )


def judge(configurations: Sequence[Configuration], where: str = "") -> Judgement:
    """Choose on val, and compare the winner with the others on test.

    Args:
        configurations: of one split, in val order.
        where: names the family of the comparisons.
    """
    winner, *others = configurations
    if winner.best.empty:
        return Judgement(list(configurations), None, None, None, [])
    rest = [each for each in others if not each.best.empty]
    seeds = noise_of_seeds(configurations)
    distinct = [each for each in rest if not same_model(winner, each)]
    against = corrected(
        [
            compare(
                differences([winner], [each]),
                seeds,
                family=f"winner {where}".strip(),
                first=winner.name,
                second=each.name,
                size=max(1, len(distinct)),
                leaky=winner.leaky,
            )
            for each in rest
        ]
    )
    runner_up = distinct[0] if distinct else None
    lead = against[rest.index(runner_up)] if runner_up else None
    test = interval(winner.best.to_numpy(dtype=float))
    return Judgement(list(configurations), test, lead, runner_up, against)


def _effects(judged: Sequence[Configuration], every: Sequence[Configuration]) -> list[Effect]:
    """Effects of the factors; that of the learning rate itself among all configurations."""
    if not _tested(judged) or not _tested(every):
        return []
    effects = [effect(factor, judged) for factor in _varied(judged)]
    if every is not judged:
        effects.append(effect(RATE, every))
    return effects


def _varied(configurations: Sequence[Configuration]) -> list[str]:
    """Factors that differ within these: those of other splits may differ in more."""
    names = configurations[0].levels
    return [name for name in names if len({each.levels[name] for each in configurations}) > 1]


def _tested(configurations: Sequence[Configuration]) -> bool:
    return all(not each.best.empty for each in configurations)
