"""The leaderboard as tables: scores and cost, then spread."""

from collections.abc import Sequence

from brainseg.report.answer import span
from brainseg.report.leaderboard import Row
from brainseg.report.table import Table, number_or_dash


def board(rows: Sequence[Row], nothing: float) -> Table:
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


def _factors(rows: Sequence[Row]) -> list[str]:
    return list(rows[0].levels) or ["configuration"]


def _levels(row: Row) -> list[str]:
    return list(row.levels.values()) or ["the only one"]
