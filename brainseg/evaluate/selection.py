"""Which slices are scored, and what may not be: patients that a run has learnt from."""

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainseg.config import instantiate
from brainseg.data.cache import Scans
from brainseg.data.datamodule import PARTS
from brainseg.data.split import Split
from brainseg.evaluate.trained import Trained
from brainseg.runs.identity import differences, identity

SEEN = ("train", "val")  # what weights and checkpoint were chosen on
NEW = "new"  # in no part of the split

log = logging.getLogger(__name__)


def refuse_twice(folders: Sequence[Path]) -> None:
    """Refuse a run that would count twice.

    Raises:
        ValueError: names the run.
    """
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise ValueError(f"{folder} is given twice; name each run once")
        seen.add(folder.resolve())


def by_fold(runs: Sequence[Trained], split: str, *, elsewhere: bool) -> list[list[Trained]]:
    """The runs that score the same patients, together: an ensemble, or of folds one for each.

    Args:
        runs: in the order of the request.
        split: train, val, test or all.
        elsewhere: other scans than those of the training are scored.

    Raises:
        ValueError: splits differ, and not as the folds of one recipe do: names two such runs.
    """
    if elsewhere and split == "all":
        return [list(runs)]
    found: list[list[Trained]] = []
    for run in runs:
        same = next((fold for fold in found if _split(fold[0]) == _split(run)), None)
        if same is None:
            found.append(same := [])
        same.append(run)
    if len(found) > 1:
        for first, second in combinations(runs, 2):
            if why := _no_folds(first, second, split, elsewhere=elsewhere):
                raise ValueError(
                    f"{first.folder} and {second.folder} {why}; give the folds of one recipe with "
                    "--split test, or score an ensemble on others with --root DIR --split all"
                )
    return found


def refuse_other_slices(scans: Sequence[Scans]) -> None:
    """Refuse members whose settings leave out different slices.

    Raises:
        ValueError: they do.
    """
    for first, second in pairwise(scans):
        if not first.index.equals(second.index):
            raise ValueError(
                "the runs do not see the same slices here; mend the faulty files under the scans' "
                "folder, or score runs with one data.on_error"
            )


def select(
    runs: Sequence[Trained],
    index: pd.DataFrame,
    split: str,
    *,
    elsewhere: bool = False,
    allow_seen: bool = False,
    persons: Mapping[str, str] = MappingProxyType({}),
) -> NDArray[np.int64]:
    """The rows of the index to score.

    Args:
        runs: whose splits count.
        index: of the scans, a row per slice.
        split: train, val, test, or all patients.
        elsewhere: the scans are not those of the training.
        allow_seen: score patients of train and val that are found elsewhere, too.
        persons: who patients of the scans are, where another name says it.

    Raises:
        ValueError: `all` elsewhere holds patients of train or val; a part of a split by slice is
            asked for elsewhere; or no slice is left.
    """
    if split == "all":
        if elsewhere and not allow_seen:
            _refuse_seen(runs, index, persons)
        return np.arange(len(index))
    if runs[0].leaky:
        if elsewhere:
            raise ValueError(
                f"{runs[0].folder} was split by slice, so --split {split} means nothing for "
                "other scans; score whoever is there with --split all"
            )
        split_anew: Split = instantiate(runs[0].config["split"])(index)
        return np.asarray(getattr(split_anew, split), np.int64)
    wanted = runs[0].members[split]
    rows = np.flatnonzero(index["patient"].isin(wanted))
    found = index["patient"].iloc[rows].nunique()
    if not found:
        raise ValueError(
            f"none of the {len(wanted)} patients of --split {split} is there; "
            "score whoever is there with --split all"
        )
    if found < len(wanted):
        log.warning("%d of the %d patients of %s are there", found, len(wanted), split)
    return rows


def parts(
    runs: Sequence[Trained],
    patients: Sequence[str],
    persons: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """The part that each patient has in the runs' splits; the first in order of harm, or `new`.

    Args:
        runs: whose splits count.
        patients: names.
        persons: who they are, where another name says it.
    """
    of: dict[str, str] = {}
    for part in reversed(PARTS):
        for run in runs:
            of |= {person(run.persons.get(name, name)): part for name in run.members[part]}
    return [of.get(person(persons.get(name, name)), NEW) for name in patients]


def person(name: str) -> str:
    """Who a TCGA folder is of: `TCGA_DU_6408_19860521` is `TCGA-DU-6408`, whatever the date."""
    words = name.upper().replace("_", "-").split("-")
    return "-".join(words[:3] if words[0] == "TCGA" else words)


def _no_folds(first: Trained, second: Trained, split: str, *, elsewhere: bool) -> str:
    """Why two runs are neither of one split nor folds of one recipe; empty where they are."""
    other = [
        each
        for each in differences(identity(first.config), identity(second.config))
        if not each.startswith(("split.", "seed:"))
    ]
    if other:
        return f"differ in more than split and seed ({other[0]})"
    if _split(first) == _split(second):
        return ""
    if elsewhere or split != "test" or first.leaky or second.leaky:
        return "were split differently, and each has seen patients that the other is scored on"
    both = sorted(set(first.members["test"]) & set(second.members["test"]))
    return f"were split differently, and both test {both[0]}" if both else ""


def _split(run: Trained) -> tuple[object, ...]:
    """What makes a run's split: by slice every patient may be in every part, so its settings."""
    return run.leaky, run.members, run.config["split"] if run.leaky else None


def _refuse_seen(runs: Sequence[Trained], index: pd.DataFrame, persons: Mapping[str, str]) -> None:
    names = sorted(set(index["patient"]))
    of = parts(runs, names, persons)
    seen = [name for name, part in zip(names, of, strict=True) if part in SEEN]
    if seen:
        shown = ", ".join(seen[:5]) + (f" and {len(seen) - 5} more" if len(seen) > 5 else "")
        raise ValueError(
            f"{len(seen)} of the {len(names)} patients there were trained or validated on "
            f"({shown}); remove them, or score them too with --allow-seen"
        )
