"""The folder of an evaluation: written whole, and never in the place of other things."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from brainseg.evaluate.calibration import reliability
from brainseg.evaluate.card import Card, overall
from brainseg.evaluate.measure import COUNTS, Measured
from brainseg.evaluate.page import page
from brainseg.files import only_one, replacing

CARD = "card.json"


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """An empty folder to write to, which takes the place of `folder` if the block ends well.

    What was there before stays until then.

    Raises:
        ValueError: something else than an evaluation lies there, or it cannot be written to.
    """
    _refuse_foreign(folder)
    lock = folder.with_name(f".{folder.name}.lock")
    with ExitStack() as stack:
        with _writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(only_one(lock, f"{folder} is being written"))
            partial = stack.enter_context(replacing(folder))
        yield partial
        with _writing(folder):
            _refuse_foreign(folder)  # what came meanwhile
            stack.close()


def write(
    folder: Path,
    *,
    cards: Mapping[str, Card],
    measured: Mapping[str, Measured],
    facts: Mapping[str, Any],
    figures: Mapping[str, Mapping[str, Figure]],
) -> None:
    """Write `card.json`, `card.md`, `patients.csv`, `slices.csv` and `figures/*.png`.

    Args:
        folder: empty.
        cards: by region, as the others; of several, a figure's name ends in that of its region.
        measured: what the cards were worked out from.
        facts: what stands beside them.
        figures: by region, then by name.
    """
    drawn = {
        region: {f"{name}-{region}" if len(cards) > 1 else name: each for name, each in of.items()}
        for region, of in figures.items()
    }
    names = {region: list(each) for region, each in drawn.items()}
    dice = overall(measured)
    regions = {
        region: asdict(card) | {"reliability": _reliability(measured[region])}
        for region, card in cards.items()
    }
    numbers = {"about": facts, "dice": asdict(dice), "regions": regions, "figures": names}
    (folder / CARD).write_text(json.dumps(_plain(numbers), indent=1))
    text = page(cards, dice, facts, names)
    (folder / "card.md").write_text(text, encoding="utf-8", errors="backslashreplace")
    for table in ("patients", "slices"):
        every = pd.concat([getattr(each, table) for each in measured.values()])
        every = every.sort_values("patient", kind="stable", key=_first_seen)
        _single(every).to_csv(folder / f"{table}.csv", index=False)
    (folder / "figures").mkdir()
    for name, figure in ((n, each) for of in drawn.values() for n, each in of.items()):
        figure.savefig(folder / "figures" / f"{name}.png", dpi=150)


def _first_seen(names: "pd.Series[str]") -> "pd.Series[int]":
    """For a sort that keeps the order in which the patients came."""
    return pd.Series(pd.factorize(names)[0], names.index)


def _refuse_foreign(folder: Path) -> None:
    if (folder.exists() or folder.is_symlink()) and not _is_ours(folder):
        raise ValueError(
            f"{folder} holds something else than an evaluation; only an empty folder or an "
            "evaluation is written over; give another with --out"
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written ({error.strerror or error}); give another with --out"
        ) from error


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty, or its card is one that `write` wrote."""
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        card = json.loads((folder / CARD).read_text())
        return "brainseg" in card["about"]["versions"] and "figures" in card
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _reliability(measured: Measured) -> dict[str, list[float]]:
    probs, share, pixels = reliability(measured.histogram)
    return {"probability": probs.tolist(), "tumour": share.tolist(), "pixels": pixels.tolist()}


def _single(table: pd.DataFrame) -> pd.DataFrame:
    """Scores in single precision, as in a run's own `patients.csv`; counts as they are."""
    scores = [name for name in table.select_dtypes("float") if name not in COUNTS]
    return table.astype(dict.fromkeys(scores, "float32"))


def _plain(node: Any) -> Any:
    """Containers for JSON, which knows no NaN: None stands for it."""
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, float) and not math.isfinite(node):
        return None
    return node
