"""Fair learning rates: each configuration at its own best rate on val, and all at each rate."""

from collections.abc import Sequence

from brainseg.report.configurations import Configuration
from brainseg.report.factors import Levels, level_order

RATE = "optimizer.lr"


def swept(configurations: Sequence[Configuration]) -> bool:
    """Whether the learning rate is a factor beside others, so that a fair one must be chosen."""
    names = configurations[0].levels
    varied = [name for name in names if len({each.levels[name] for each in configurations}) > 1]
    return RATE in varied and len(varied) > 1


def at_own_rate(configurations: Sequence[Configuration]) -> list[Configuration]:
    """Of the configurations that differ in the rate alone the best on val, without that factor.

    Args:
        configurations: in val order.
    """
    chosen: dict[tuple[tuple[str, str], ...], Configuration] = {}
    for each in configurations:
        chosen.setdefault(_key(each), each)
    return [each.without(RATE) for each in chosen.values()]


def at_each_rate(configurations: Sequence[Configuration]) -> dict[str, list[Configuration]]:
    """The configurations of each rate, without that factor, in val order."""
    rates = level_order(RATE, [each.levels[RATE] for each in configurations])
    return {
        rate: [each.without(RATE) for each in configurations if each.levels[RATE] == rate]
        for rate in rates
    }


def chosen_rate(configuration: Configuration) -> str:
    """The rate that a configuration was trained with."""
    return f"{configuration.results[0].config['optimizer']['lr']:g}"


def with_rate(configuration: Configuration) -> Levels:
    """Its levels, the rate that it was trained with among them."""
    return configuration.levels | {RATE: chosen_rate(configuration)}


def _key(configuration: Configuration) -> tuple[tuple[str, str], ...]:
    return tuple((name, level) for name, level in configuration.levels.items() if name != RATE)
