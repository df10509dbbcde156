"""The other tables of a report, as text, whatever they are written as."""

from collections.abc import Sequence

import pandas as pd

from brainseg.report.answer import span
from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration
from brainseg.report.content import Table, number_or_dash, p_value
from brainseg.report.curves import Flat
from brainseg.report.gather import Absent

_WORDS = {
    "ahead": "ahead",
    "behind": "behind",
    "networks": "differ (one seed)",
    "seeds": "within noise of seeds",
    "noise": "within noise",
    "same": "same scores",
    "few": "too few patients",
    "leaky": "not judged (LEAKY)",
}


def pairs(comparisons: Sequence[Comparison], caption: str) -> Table:
    """Paired comparisons with everything that decides what may be said."""
    return Table.of(
        caption,
        comparisons,
        {
            "first": lambda each: each.first,
            "second": lambda each: each.second,
            "difference (95 %)": lambda each: span(each.difference),
            "wins": lambda each: f"{each.wins:.0%}",
            "d_z": lambda each: f"{each.effect:.2f}",
            "p Wilcoxon": lambda each: p_value(each.p_wilcoxon),
            "p seeds": lambda each: p_value(each.p_seeds),
            "p Holm": lambda each: p_value(each.p_holm),
            "detectable": lambda each: number_or_dash(each.detectable),
            "patients": lambda each: str(each.patients),
            "seeds": lambda each: str(each.seeds),
            "what it is": lambda each: _WORDS[each.verdict],
        },
    )


def pairs_frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Paired comparisons as numbers: what `pairs.csv` holds."""
    rows = []
    for each in comparisons:
        values = dict(vars(each))
        difference = values.pop("difference")
        values |= {"difference": difference.mean, "low": difference.low, "high": difference.high}
        rows.append(values | {"verdict": each.verdict})
    first = ["family", "first", "second", "which", "difference", "low", "high", "verdict"]
    frame = pd.DataFrame(rows, columns=None if rows else first)
    return frame[[*first, *(name for name in frame.columns if name not in first)]]


def flat(found: Sequence[Flat]) -> Table:
    """Where more epochs stopped helping, and the gap from train to test."""
    return Table.of(
        "Epochs from which on the best val Dice so far was within 0.01 of the final one.",
        found,
        {
            "configuration": lambda each: each.name,
            "epochs": lambda each: f"{each.epochs:g}",
            "best epoch": lambda each: f"{each.best_epoch:.1f}",
            "flat from": lambda each: f"{each.flat:.1f}",
            "train - test": lambda each: number_or_dash(each.gap),
            "test, last epoch": lambda each: number_or_dash(each.last),
        },
    )


def hardest(table: pd.DataFrame, most: int = 10) -> Table:
    """The patients that are hard for all configurations, hardest first."""
    return _of_patients(table.head(most), f"The {min(most, len(table))} hardest patients.")


def disputed(table: pd.DataFrame, most: int = 5) -> Table:
    """The patients on whom the configurations disagree most."""
    chosen = table.sort_values("disagreement", ascending=False).head(most)
    return _of_patients(chosen, f"The {len(chosen)} patients on whom configurations disagree most.")


def by_group(table: pd.DataFrame) -> Table:
    """Test Dice by subgroup."""
    named = table.rename(columns={"all": "all configurations"})
    return _frame("Mean test Dice by subgroup: described, not tested.", named)


def by_region(table: pd.DataFrame) -> Table:
    """Test Dice of each region, over all patients and over those who have it."""
    caption = (
        "Mean test Dice by region, best epoch on val: over all patients (where a region is empty, "
        "1 if nothing is found and else 0), and over those who have it."
    )
    names = {"dice": "Dice", "dice_of_having": "Dice of those who have it"}
    return _frame(caption, table.rename(columns=names))


def absent(cells: Sequence[Absent]) -> Table:
    """The cells without a result."""
    rows = [[each.name, each.state, each.reason] for each in cells]
    return Table("Cells without a result.", ["cell", "state", "reason"], rows)


def numbered(configurations: Sequence[Configuration]) -> Table:
    """Configurations by their place on val, the numbers that figures use."""
    rows = [[str(number), each.name] for number, each in enumerate(configurations, 1)]
    return Table("Configurations by their place on val.", ["#", "configuration"], rows)


def _of_patients(table: pd.DataFrame, caption: str) -> Table:
    names = {"target": "tumour pixels", "mean": "mean Dice", "disagreement": "SD"}
    shown = ["institution", "slices", "target", *(["missing"] if "missing" in table else [])]
    shown += ["mean", "least", "highest", "disagreement"]
    return _frame(caption, table[shown].rename(columns=names).reset_index(names="patient"))


def _frame(caption: str, table: pd.DataFrame) -> Table:
    """A frame as text, its numbers with three digits."""
    rows = [
        [number_or_dash(value) if isinstance(value, float) else str(value) for value in row]
        for row in table.itertuples(index=False)
    ]
    return Table(caption, list(table.columns), rows)
