"""The folder of an evaluation: written whole, and never in the place of other things."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from brainseg.data.store import replacing
from brainseg.evaluate.calibration import reliability
from brainseg.evaluate.card import Card
from brainseg.evaluate.markdown import page
from brainseg.evaluate.measure import COUNTS, Measured
from brainseg.lock import only_one

CARD = "card.json"
CONTENT = {CARD, "card.md", "patients.csv", "slices.csv", "figures"}
_OPTIONS = ("runs", "split", "checkpoint", "tta", "root", "tolerance", "spacing")

log = logging.getLogger(__name__)


def refuse_foreign(folder: Path) -> None:
    """Refuse to write where something else than an evaluation lies.

    Raises:
        ValueError: names the folder.
    """
    if folder.is_dir():
        there = {path.name for path in folder.iterdir()}
        if not there or (CARD in there and there <= CONTENT):
            return
    elif not folder.exists():
        return
    raise ValueError(
        f"{folder} is there and holds something else than an evaluation, which would be lost; "
        "give a new folder with --out"
    )


def write(
    folder: Path,
    *,
    card: Card,
    measured: Measured,
    about: Mapping[str, Any],
    figures: Mapping[str, Figure],
) -> None:
    """Write `card.json`, `card.md`, `patients.csv`, `slices.csv` and `figures/*.png`.

    What was there before stays until all of it is written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with only_one(lock, f"{folder} is being written"), replacing(folder) as partial:
        _say_replaced(folder, about)
        numbers = {"about": about, **asdict(card), "reliability": _reliability(measured)}
        (partial / CARD).write_text(json.dumps(_plain(numbers), indent=1))
        (partial / "card.md").write_text(page(card, about, list(figures)), encoding="utf-8")
        _single(measured.patients).to_csv(partial / "patients.csv", index=False)
        _single(measured.slices).to_csv(partial / "slices.csv", index=False)
        (partial / "figures").mkdir()
        for name, figure in figures.items():
            figure.savefig(partial / "figures" / f"{name}.png", dpi=150)


def _say_replaced(folder: Path, about: Mapping[str, Any]) -> None:
    """Name what is about to be replaced, where it was asked for differently."""
    if not (folder / CARD).is_file():
        return
    before = json.loads((folder / CARD).read_text())["about"]
    after = _plain(dict(about))
    changed = [key for key in _OPTIONS if before.get(key) != after[key]]
    if changed:
        old = ", ".join(f"{key} {before.get(key)}" for key in changed)
        log.info("replaces the evaluation in %s, which was made with %s", folder, old)


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
