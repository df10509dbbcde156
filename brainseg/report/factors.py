"""The factors of a sweep: settings that differ between its cells, and their levels."""

from collections.abc import Sequence
from typing import Any

from brainseg.report.cells import Result
from brainseg.runs.identity import identity

_FIRST = ("norm", "loss", "epochs")
_ABSENT = "(absent)"

Levels = dict[str, str]


def levels(results: Sequence[Result]) -> list[Levels]:
    """The level of each factor, for each result; factors are in the order of the tables.

    A factor is a key of `brainseg.runs.identity` that differs between the cells. Where the keys of
    a group differ because another of its options was chosen, the group is the factor and the option
    its level; what still differs within one option is a factor of its own. Seeds are replicates
    and folds are parts of one result: neither is a factor. With and without folds are two levels.
    """
    settings = [_settings(result) for result in results]
    keys = _varied(settings)
    groups = [
        group
        for group in dict.fromkeys(key.partition(".")[0] for key in keys)
        if len({result.choices.get(group) for result in results}) > 1
    ]
    own = [key for key in keys if _varies_within(key, groups, results, settings)]
    columns: dict[str, list[str]] = {}
    for group in groups:
        columns[group] = [result.choices.get(group, _ABSENT) for result in results]
    for key in own:
        columns[key] = [text(each.get(key, _ABSENT)) for each in settings]
    ordered = sorted(columns, key=lambda name: (_rank(name), name))
    return [{name: columns[name][n] for name in ordered} for n in range(len(results))]


def level_order(factor: str, found: Sequence[str]) -> list[str]:
    """The distinct levels of a factor: numbers by size, words as they were met."""
    distinct = list(dict.fromkeys(found))
    try:
        return sorted(distinct, key=float)
    except ValueError:
        return distinct


def phrase(chosen: Levels) -> str:
    """Levels in words: `group norm with bce_dice, 100 epochs, optimizer.lr 0.001`."""
    rest = dict(chosen)
    norm, loss, epochs = (rest.pop(name, None) for name in _FIRST)
    normed = f"{norm} norm" if norm and norm != "none" else norm and "no norm"
    words = " with ".join(word for word in (normed, loss) if word)
    parts = [words, f"{epochs} epochs" if epochs else "", *(f"{k} {v}" for k, v in rest.items())]
    return ", ".join(part for part in parts if part) or "the only configuration"


def text(value: Any) -> str:
    """A setting as a level: the shortest form of a number that is it."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _settings(result: Result) -> dict[str, Any]:
    settings = identity(result.config)
    folds = settings.pop("split.fold", None) is not None
    if not folds:
        settings.pop("split.folds", None)  # unused
    settings.pop("seed", None)
    return settings | {"split.fold": "all" if folds else "none"}


def _varied(settings: Sequence[dict[str, Any]]) -> list[str]:
    keys = sorted(set().union(*settings))
    return [key for key in keys if len({text(each.get(key, _ABSENT)) for each in settings}) > 1]


def _varies_within(
    key: str, groups: Sequence[str], results: Sequence[Result], settings: Sequence[dict[str, Any]]
) -> bool:
    """Whether a key differs between cells that chose the same option of its group."""
    group = key.partition(".")[0]
    if group not in groups:
        return True
    values: dict[str, set[str]] = {}
    for result, each in zip(results, settings, strict=True):
        values.setdefault(result.choices.get(group, _ABSENT), set()).add(text(each.get(key)))
    return any(len(found) > 1 for found in values.values())


def _rank(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)
