"""The tables of a report, as text, whatever they are written as."""

from collections.abc import Sequence

import pandas as pd

from brainseg.report.answer import span
from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration
from brainseg.report.curves import Flat
from brainseg.report.gather import Absent
from brainseg.report.ranks import Ranks
from brainseg.report.table import Table, number_or_dash, p_value

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
    header = ["first", "second", "difference (95 %)", "wins", "d_z", "p Wilcoxon", "p seeds"]
    header += ["p Holm", "P(false claim)", "detectable", "patients", "seeds", "what it is"]
    return Table(
        caption,
        header,
        [
            [
                each.first,
                each.second,
                span(each.difference),
                f"{each.wins:.0%}",
                f"{each.effect:.2f}",
                p_value(each.p_wilcoxon),
                p_value(each.p_seeds),
                p_value(each.p_holm),
                p_value(each.false_claim),
                number_or_dash(each.detectable),
                str(each.patients),
                str(each.seeds),
                _WORDS[each.verdict],
            ]
            for each in comparisons
        ],
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


def stability(ranks: Ranks) -> Table:
    """Mean ranks, and how often each would come first in other samples of patients and seeds."""
    return Table(
        "Rank over patients, and under the bootstrap of patients and seeds.",
        ["configuration", "mean rank", "first in", "rank by mean Dice (95 %)"],
        [
            [name, f"{mean:.2f}", f"{first:.0%}", f"{low:.0f} to {high:.0f}"]
            for name, mean, first, low, high in zip(
                ranks.names, ranks.mean, ranks.first, ranks.low, ranks.high, strict=True
            )
        ],
    )


def flat(found: Sequence[Flat]) -> Table:
    """Where more epochs stopped helping, and the gap from train to test."""
    return Table(
        "Epochs from which on the best val Dice so far was within 0.01 of the final one.",
        ["configuration", "epochs", "best epoch", "flat from", "train - test", "test, last epoch"],
        [
            [
                each.name,
                f"{each.epochs:g}",
                f"{each.best_epoch:.1f}",
                f"{each.flat:.1f}",
                number_or_dash(each.gap),
                number_or_dash(each.last),
            ]
            for each in found
        ],
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
    rows = [
        [str(r.about), str(r.level), str(r.patients), f"{r.winner:.3f}", f"{r.all:.3f}"]
        for r in table.itertuples()
    ]
    caption = "Mean test Dice by subgroup: described, not tested."
    return Table(caption, ["about", "level", "patients", "winner", "all configurations"], rows)


def absent(cells: Sequence[Absent]) -> Table:
    """The cells without a result."""
    rows = [[each.name, each.state, each.reason] for each in cells]
    return Table("Cells without a result.", ["cell", "state", "reason"], rows)


def numbered(configurations: Sequence[Configuration]) -> Table:
    """Configurations by their place on val, the numbers that figures use."""
    rows = [[str(number), each.name] for number, each in enumerate(configurations, 1)]
    return Table("Configurations by their place on val.", ["#", "configuration"], rows)


def _of_patients(table: pd.DataFrame, caption: str) -> Table:
    missing = ["missing"] if "missing" in table else []
    header = ["patient", "institution", "slices", "tumour pixels", *missing]
    rows = []
    for name, row in table.iterrows():
        scores = [f"{row[key]:.3f}" for key in ("mean", "least", "highest", "disagreement")]
        known = [str(row[key]) for key in ("institution", "slices", "target", *missing)]
        rows.append([str(name), *known, *scores])
    return Table(caption, [*header, "mean Dice", "least", "highest", "SD"], rows)
