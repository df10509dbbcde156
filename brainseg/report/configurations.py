"""Configurations: the cells that differ in seed and fold alone, pooled."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import pandas as pd

from brainseg.report.cells import Result
from brainseg.report.factors import Levels, levels, phrase


@dataclass(frozen=True, eq=False)
class Configuration:
    """The cells of one setting.

    Attributes:
        levels: the level of each factor.
        results: its cells, which differ in seed and fold.
    """

    levels: Levels
    results: tuple[Result, ...]

    @property
    def name(self) -> str:
        """Its levels in words."""
        return phrase(self.levels)

    @cached_property
    def val(self) -> float:
        """Mean over its cells of the val Dice by patient of the best epoch."""
        return fmean(result.metrics["scores"]["best"]["val"]["dice"] for result in self.results)

    @cached_property
    def splits(self) -> dict[int | None, str]:
        """Checksum of the split, by fold."""
        return {result.fold: result.split for result in self.results}

    @property
    def leaky(self) -> bool:
        """Whether a patient of its test set may have been trained on."""
        return any(result.leaky for result in self.results)

    @property
    def seeds(self) -> list[int]:
        """The seeds of its cells."""
        return sorted({result.seed for result in self.results})

    @cached_property
    def best(self) -> pd.DataFrame:
        """Test Dice of the epoch that was best on val: a row per seed, a column per patient."""
        return self.table()

    @property
    def mean(self) -> float | None:
        """Mean of `best`; None without test scores."""
        return None if self.best.empty else float(self.best.to_numpy().mean())

    @cached_property
    def last(self) -> pd.DataFrame:
        """As `best`, of the last epoch."""
        return self.table("last")

    def table(self, which: str = "best", part: str = "test", name: str = "dice") -> pd.DataFrame:
        """A score: a row per seed, a column per patient; without seeds that lack some patients.

        Folds are pooled out of fold: a patient is scored by the cell that tested on it. Where no
        seed has all patients that were tested, those of the most complete seed are taken.
        """
        rows: dict[int, pd.Series[float]] = {}
        for seed in self.seeds:
            parts = [r.by_patient(which, part, name) for r in self.results if r.seed == seed]
            pooled = pd.concat(parts)
            shared = self.leaky or part != "test"  # then a patient may be in several folds
            rows[seed] = pooled.groupby(level=0).mean() if shared else pooled
        table = pd.DataFrame(rows).T.sort_index(axis=1)
        scored = table.notna().to_numpy()
        fullest = scored[scored.sum(axis=1).argmax()]
        complete: pd.DataFrame = table.loc[:, fullest].dropna()
        return complete

    def without(self, factor: str) -> "Configuration":
        """The same cells, with a factor left out of the levels."""
        return Configuration({k: v for k, v in self.levels.items() if k != factor}, self.results)


def pool(results: Sequence[Result]) -> list[Configuration]:
    """The configurations of results, best on val first; of equals that with fewer epochs.

    Where the settings are the same and the scans or patients are not, as after scans were added,
    the split becomes a factor, `split`, with its checksum as level.

    Raises:
        ValueError: a patient is tested twice with one seed, as by folds of two kinds.
    """
    members: dict[tuple[tuple[str, str], ...], dict[str, list[Result]]] = {}
    for result, chosen in zip(results, levels(results), strict=True):
        data = result.metrics["data"]["fingerprint"] if result.fold is not None else result.split
        members.setdefault(tuple(chosen.items()), {}).setdefault(data, []).append(result)
    told_apart = any(len(each) > 1 for each in members.values())
    pooled = [
        Configuration(dict(key) | ({"split": data[:6]} if told_apart else {}), tuple(each))
        for key, by_data in members.items()
        for data, each in by_data.items()
    ]
    for configuration in pooled:
        _refuse_twice(configuration)
    return sorted(pooled, key=_order)


def comparable(first: Configuration, second: Configuration) -> bool:
    """Whether two configurations trained and tested on the same patients, in any common fold."""
    common = first.splits.keys() & second.splits.keys()
    return bool(common) and all(first.splits[fold] == second.splits[fold] for fold in common)


def group(configurations: Sequence[Configuration]) -> list[list[Configuration]]:
    """Configurations by split; the group to judge by first: not leaky, then the largest."""
    groups: list[list[Configuration]] = []
    for each in configurations:
        home = next((g for g in groups if all(comparable(each, one) for one in g)), None)
        if home is None:
            groups.append([each])
        else:
            home.append(each)
    return sorted(groups, key=lambda g: (g[0].leaky, -len(g)))


def same_folds(members: Sequence[Configuration]) -> list[Configuration]:
    """Configurations of one group over the folds that all of them have, in val order.

    Else val and test would be means over other patients. Seeds that lack one of these folds are
    left out, where others have them all. Without a fold in common they stay as they are.
    """
    common = set.intersection(*(set(each.splits) for each in members))
    if not common:
        return list(members)
    kept = []
    for each in members:
        inside = [result for result in each.results if result.fold in common]
        whole = [s for s in each.seeds if {r.fold for r in inside if r.seed == s} == common]
        chosen = [result for result in inside if result.seed in whole] or inside
        kept.append(Configuration(each.levels, tuple(chosen)))
    return sorted(kept, key=_order)


def same_model(first: Configuration, second: Configuration) -> bool:
    """Whether two configurations that differ in epochs alone chose the same epoch of one training.

    That is: for every seed and fold the same weights, by their digest. Where an earlier revision
    kept none: the same best epoch, and the same test Dice of every patient.
    """
    differ = [key for key in first.levels if first.levels[key] != second.levels.get(key)]
    if differ != ["epochs"] or first.best.shape != second.best.shape:
        return False
    digests, epochs = (
        [{(r.seed, r.fold): r.metrics.get(key) for r in each.results} for each in (first, second)]
        for key in ("weights", "best_epoch")
    )
    if None not in (*digests[0].values(), *digests[1].values()):
        return digests[0] == digests[1]
    return epochs[0] == epochs[1] and first.best.equals(second.best)


def _order(each: Configuration) -> tuple[float, float]:
    """Best on val first, of equals that with fewer epochs."""
    return -each.val, float(each.levels.get("epochs", 0))


def _refuse_twice(configuration: Configuration) -> None:
    for seed in configuration.seeds if not configuration.leaky else []:
        of_seed = [result for result in configuration.results if result.seed == seed]
        tested = Counter(name for result in of_seed for name in result.members["test"])
        if twice := [name for name, count in tested.items() if count > 1]:
            names = ", ".join(result.name for result in of_seed)
            raise ValueError(
                f"patient {twice[0]} is tested by more than one of {names}; folds of one "
                "split.folds and split.seed test each patient once: report over those alone"
            )
