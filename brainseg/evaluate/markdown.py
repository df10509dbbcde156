"""The metric card as a page of Markdown."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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


def page(card: Card, facts: Mapping[str, Any], figures: Sequence[str]) -> str:
    """The page.

    Args:
        card: its scores.
        facts: `title`, `lines` (what was scored and how) and `warnings`.
        figures: names of the pictures beside the page, without `figures/` and `.png`.
    """
    parts = [f"# {facts['title']}", "\n".join(f"- {line}" for line in facts["lines"])]
    parts += [f"> **{line}**" for line in facts["warnings"]]
    parts += [
        _headline(card),
        "In brackets 95 % intervals, by bootstrap over patients. Definitions, with formula and "
        "source: docs/metrics.md.",
        "## Overlap",
        _overlap(card),
        "Predicting nothing scores:",
        _overlap_of_nothing(card),
        "## Borders, volume, lesions, false alarms",
        _table(
            [
                *_rows(card.surface),
                *_rows({"hd95_px": card.median["hd95_px"]}, "median: "),
                *_rows(card.volume),
                *_rows(card.lesions, renamed={"precision": "predicted lesions that are true"}),
                *_rows(card.false_alarms),
            ]
        ),
        "## Calibration",
        _table(_rows(card.calibration)),
        *_threshold(card),
        *_gain(card),
        "## Pictures",
        "\n\n".join(f"![{name}](figures/{name}.png)" for name in figures),
    ]
    return "\n\n".join(parts) + "\n"


def _headline(card: Card) -> str:
    dice, middle = card.overlap["patient"]["dice"], card.median["dice"]
    note = f"; {dice.note}" if dice.note else ""
    who = "1 patient" if dice.patients == 1 else f"{dice.patients} patients"
    return f"**Dice by patient {_shown(dice)}**, median {_shown(middle)} ({who}{note})."


def _overlap(card: Card) -> str:
    head = ["", *(_TITLES[name] for name in NAMES), "patients", "note"]
    rows = [
        [
            LEVELS[level],
            *(_shown(names[name]) for name in NAMES),
            str(names["dice"].patients),
            "; ".join(dict.fromkeys(each.note for each in names.values() if each.note)),
        ]
        for level, names in card.overlap.items()
    ]
    return _grid(_filled([head, *rows]))


def _overlap_of_nothing(card: Card) -> str:
    head = ["", *(_TITLES[name] for name in NAMES)]
    rows = [
        [LEVELS[level], *(_number(names[name].nothing) for name in NAMES)]
        for level, names in card.overlap.items()
    ]
    return _grid([head, *rows])


def _threshold(card: Card) -> list[str]:
    if card.threshold is None:
        return ["No threshold could be chosen: the patients of val are not at hand."]
    best, half = card.threshold.val
    return [
        f"The threshold that is best on val is {card.threshold.value:.3f} "
        f"(there Dice {best:.3f}, at 0.5 {half:.3f}). On the patients of this card:",
        _table(_rows(card.threshold.scores)),
    ]


def _gain(card: Card) -> list[str]:
    if card.tta is None:
        return []
    return [
        "## Test-time augmentation",
        "All scores above are with it: the mean probability over no flip, either flip and both. "
        "What it adds, by patient, paired:",
        _table(_rows(card.tta)),
    ]


def _rows(
    scores: Scores, before: str = "", renamed: Mapping[str, str] | None = None
) -> list[list[str]]:
    titles = _TITLES | dict(renamed or {})
    return [
        [before + titles[name], _shown(each), _number(each.nothing), str(each.patients), each.note]
        for name, each in scores.items()
    ]


def _table(rows: Iterable[list[str]]) -> str:
    """Rows under their heads, without the columns that would be empty."""
    return _grid(_filled([["", "", "predicting nothing", "patients", "note"], *rows]))


def _filled(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Rows under their heads, without the columns that are empty but for the head."""
    columns = list(zip(*rows, strict=True))
    kept = [column for k, column in enumerate(columns) if k < 2 or set(column[1:]) - {"", "-"}]
    return list(zip(*kept, strict=True))


def _grid(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


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
