"""The metric card as a page of Markdown."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from brainseg.evaluate.card import Card, Scores
from brainseg.evaluate.interval import Estimate
from brainseg.evaluate.overlap import LEVELS, NAMES

_TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "mean_iou": "mean IoU with background",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
    "hd95_px": "HD95, pixels, by slice with tumour",
    "surface_dice": "surface Dice, by slice with tumour",
    "hd95_mm": "HD95 in 3D, mm",
    "surface_dice_3d": "surface Dice in 3D",
    "error": "volume error, share of the true volume",
    "absolute_error": "volume error, absolute",
    "sensitivity": "lesions found, share of all",
    "sensitivity_by_patient": "lesions found, mean share by patient",
    "false_per_patient": "false lesions a patient",
    "rate": "empty slices with a false alarm, share of all",
    "rate_by_patient": "empty slices with a false alarm, mean share by patient",
    "calibration_error": "expected calibration error",
    "brier": "Brier score",
    "average_precision": "average precision",
    "at_half": "Dice at 0.5",
    "at_best": "Dice at the threshold",
    "difference": "difference",
}

_HEAD = ["", "", "predicting nothing", "patients", "note"]


def page(
    cards: Mapping[str, Card],
    dice: Estimate,
    facts: Mapping[str, Any],
    figures: Mapping[str, Sequence[str]],
) -> str:
    """The page, by `card.md.jinja`.

    Args:
        cards: the scores of each region.
        dice: by patient, the mean over regions.
        facts: `title`, `lines` (what was scored and how) and `warnings`.
        figures: of each region the names of its pictures beside the page, without `figures/` and
            `.png`.
    """
    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined)
    return environment.get_template("card.md.jinja").render(
        facts=facts,
        dice=dice,
        regions={
            name: _of_region(card) | {"figures": figures[name]} for name, card in cards.items()
        },
        table=lambda scores: _filled([_HEAD, *_rows(scores)]),
        shown=_shown,
    )


def _of_region(card: Card) -> dict[str, Any]:
    overlap = [
        [
            LEVELS[level],
            *(_shown(names[name]) for name in NAMES),
            str(names["dice"].patients),
            "; ".join(dict.fromkeys(each.note for each in names.values() if each.note)),
        ]
        for level, names in card.overlap.items()
    ]
    nothing = [
        [LEVELS[level], *(_number(names[name].nothing) for name in NAMES)]
        for level, names in card.overlap.items()
    ]
    head = ["", *(_TITLES[name] for name in NAMES)]
    rest = [
        *_rows(card.surface),
        *_rows({"hd95_px": card.median["hd95_px"]}, "median: "),
        *_rows(card.volume),
        *_rows(card.lesions, precision="predicted lesions that are true"),
        *_rows(card.false_alarms),
    ]
    return {
        "card": card,
        "overlap": _filled([[*head, "patients", "note"], *overlap]),
        "overlap_of_nothing": [head, *nothing],
        "rest": _filled([_HEAD, *rest]),
    }


def _rows(scores: Scores, before: str = "", **renamed: str) -> list[list[str]]:
    titles = _TITLES | renamed
    return [
        [before + titles[name], _shown(each), _number(each.nothing), str(each.patients), each.note]
        for name, each in scores.items()
    ]


def _filled(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Rows under their heads, without the columns that are empty but for the head."""
    columns = list(zip(*rows, strict=True))
    kept = [column for k, column in enumerate(columns) if k < 2 or set(column[1:]) - {"", "-"}]
    return list(zip(*kept, strict=True))


def _shown(each: Estimate) -> str:
    if each.low is None or each.high is None:
        return _number(each.value)
    return f"{_number(each.value)} ({_number(each.low)} to {_number(each.high)})"


def _number(value: float | None) -> str:
    """Three digits after the point; fewer where the number is large, three that count if small."""
    if value is None or math.isnan(value):
        return "-"
    if 0 < abs(value) < 0.01:
        return f"{value:.3g}"
    return f"{value:.{1 if abs(value) >= 10 else 3}f}"
