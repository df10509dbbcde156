"""The tables of a report, as text, whatever they are written as."""

from collections.abc import Sequence

import pandas as pd

from brainseg.report.answer import span
from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration
from brainseg.report.content import Table, number_or_dash, p_value
from brainseg.report.curves import Flat
from brainseg.report.gather import Absent
from brainseg.report.leaderboard import Row

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


def leaderboard(rows: Sequence[Row], nothing: float) -> Table:
    """Scores and cost of each configuration, in val order; factors first.

    Args:
        rows: of the configurations.
        nothing: accuracy of predicting nothing on the same patients; nan without test scores.
    """
    header = ["#", *_factors(rows), "val Dice", "test Dice (95 %)", "test rank", "median", "IoU"]
    header += ["precision", "recall", "accuracy", "seeds", "parameters", "seconds", "peak MB"]
    body = []
    for number, row in enumerate(rows, 1):
        scores = [number_or_dash(row.scores.get(name)) for name in ("iou", "precision", "recall")]
        body.append(
            [
                str(number),
                *_levels(row),
                f"{row.val:.3f}",
                span(row.test) if row.test else "–",
                str(row.rank or "–"),
                number_or_dash(row.median),
                *scores,
                number_or_dash(row.scores.get("accuracy"), 4),
                str(row.seeds),
                f"{row.parameters:,}",
                f"{row.seconds:.0f}",
                number_or_dash(row.memory, 0),
            ]
        )
    if any(row.notes for row in rows):
        header.append("notes")
        body = [[*line, ", ".join(row.notes)] for line, row in zip(body, rows, strict=True)]
    caption = "In the order of val Dice; choose by it. Test only says how good the choice is."
    if nothing == nothing:
        caption += f" Predicting nothing has Dice 0 and accuracy {nothing:.4f}."
    return Table(caption, header, body)


def spread(rows: Sequence[Row]) -> Table:
    """The spread between seeds beside the spread between patients."""
    header = ["#", *_factors(rows), "cells", "seeds", "SD between patients", "SD between seeds"]
    body = [
        [
            str(number),
            *_levels(row),
            str(row.cells),
            str(row.seeds),
            number_or_dash(row.sd_patients),
            number_or_dash(row.sd_seeds),
        ]
        for number, row in enumerate(rows, 1)
    ]
    caption = (
        "Spread of the test Dice: between patients within a network, and between the means of "
        "networks that differ in their seed (beyond what patients explain)."
    )
    return Table(caption, header, body)


def pairs(comparisons: Sequence[Comparison], caption: str) -> Table:
    """Paired comparisons with everything that decides what may be said."""
    header = ["first", "second", "difference (95 %)", "wins", "d_z", "p Wilcoxon", "p seeds"]
    header += ["p Holm", "detectable", "patients", "seeds", "what it is"]
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


def by_region(table: pd.DataFrame) -> Table:
    """Test Dice of each region, over all patients and over those who have it."""
    rows = [
        [
            *(str(row[key]) for key in ("configuration", "region")),
            *(number_or_dash(float(row["dice"])), str(row["patients"])),
            *(number_or_dash(float(row["dice_of_having"])), str(row["having"])),
        ]
        for row in table.to_dict("records")
    ]
    caption = (
        "Mean test Dice by region, best epoch on val: over all patients (where a region is empty, "
        "1 if nothing is found and else 0), and over those who have it."
    )
    header = ["configuration", "region", "Dice", "patients", "Dice of those who have it", "having"]
    return Table(caption, header, rows)


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


def _factors(rows: Sequence[Row]) -> list[str]:
    return list(rows[0].levels) or ["configuration"]


def _levels(row: Row) -> list[str]:
    return list(row.levels.values()) or ["the only one"]
