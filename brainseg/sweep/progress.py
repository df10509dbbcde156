"""How far the cells of a sweep have come, read from their folders while they are trained."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from brainseg.files import held
from brainseg.runs.cell import FAILED, HISTORY, LAST, METRICS
from brainseg.sweep.manifest import Listed, Manifest

LOCK = ".lock"  # in a sweep's folder, held while its command runs
State = Literal["done", "running", "failed", "interrupted", "waiting"]


@dataclass(frozen=True)
class Progress:
    """How far one cell has come.

    Attributes:
        name: of its folder.
        cell: as its sweep lists it.
        state: interrupted: begun, not finished, and no process has it now.
        epoch: epochs trained.
        dice: `val/dice` of the last of them, at the network's size; None before the first.
        best: the highest of them; of a done cell that of its best epoch on the original pixels.
        per_epoch: mean seconds an epoch.
        outside: seconds of start and scoring; None unless done.
        reason: why it failed.
    """

    name: str
    cell: Listed
    state: State
    epoch: int = 0
    dice: float | None = None
    best: float | None = None
    per_epoch: float | None = None
    outside: float | None = None
    reason: str = ""


def progress(manifest: Manifest) -> list[Progress]:
    """Every cell of a sweep, in its order; one whose files are broken counts as failed."""
    return [_or_broken(manifest.folder / name, cell) for name, cell in manifest.cells.items()]


def seconds_left(cells: Sequence[Progress]) -> float | None:
    """Seconds that the cells not done and not failed will take; None where none is measured."""
    left = 0.0
    for each in cells:
        if each.state in ("done", "failed"):
            continue
        seconds = seconds_for(each, _epochs_left(each, cells), cells)
        if seconds is None:
            return None
        left += seconds
    return left


def seconds_for(each: Progress, epochs: int, cells: Sequence[Progress]) -> float | None:
    """Seconds of so many epochs of a cell, its start and scoring; None where none is measured.

    An epoch takes what it took in the cell itself, else in those of the same norm and loss, else
    in all; the same for start and scoring.
    """
    per_epoch = each.per_epoch or _mean(cells, each, lambda other: other.per_epoch)
    if per_epoch is None:
        return None
    return epochs * per_epoch + (_mean(cells, each, lambda other: other.outside) or 0.0)


def _or_broken(folder: Path, cell: Listed) -> Progress:
    try:
        return _of(folder, cell)
    except ValueError as error:
        return Progress(folder.name, cell, "failed", reason=str(error))


def _of(folder: Path, cell: Listed) -> Progress:
    metrics, failed = _json(folder / METRICS), _json(folder / FAILED)
    rows = _history(folder / HISTORY)
    known: dict[str, Any] = {"epoch": len(rows)}
    if rows:
        dice = [row["val/dice"] for row in rows]
        seconds = fmean(row["seconds"] for row in rows)
        known |= {"dice": dice[-1], "best": max(dice), "per_epoch": seconds}
    if metrics is not None:
        return Progress(folder.name, cell, "done", **known | _final(folder / METRICS, metrics))
    if held(folder.with_name(f".{folder.name}.lock")):
        return Progress(folder.name, cell, "running", **known)
    if failed is not None:
        return Progress(folder.name, cell, "failed", **known, reason=str(failed.get("reason")))
    begun = rows or (folder / LAST).is_file()
    return Progress(folder.name, cell, "interrupted" if begun else "waiting", **known)


def _final(path: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    """What `metrics.json` says of a done cell."""
    try:
        seconds = metrics["seconds"]
        return {
            "epoch": int(metrics["epochs"]),
            "best": float(metrics["scores"]["best"]["val"]["dice"]),
            "per_epoch": seconds["epochs"] / metrics["epochs"],
            "outside": seconds["start"] + seconds["scoring"],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, error) from error


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content)
    except FileNotFoundError:  # a retry may remove it at any moment
        return None
    except (ValueError, TypeError) as error:
        raise _broken(path, error) from error


def _history(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                {key: float(row[key]) for key in ("val/dice", "seconds")}
                for row in csv.DictReader(file)
            ]
    except FileNotFoundError:
        return []
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is broken ({type(error).__name__}: {error}); move {path.parent} away and start "
        "the sweep's command again, which trains that cell anew"
    )


def _epochs_left(each: Progress, cells: Sequence[Progress]) -> int:
    """Epochs still to train, less those that a shorter cell passes on to one not yet begun."""
    begun = each.epoch
    shorter = next((other for other in cells if other.name == each.cell.continues), None)
    if shorter and not begun and shorter.state != "failed" and each.state != "running":
        begun = shorter.cell.epochs
    return max(0, each.cell.epochs - begun)


def _mean(
    cells: Sequence[Progress], like: Progress, value: Callable[[Progress], float | None]
) -> float | None:
    """Mean of what is known of the cells with the same norm and loss, else of all."""
    known = {other.name: known for other in cells if (known := value(other)) is not None}
    same = [
        known[other.name]
        for other in cells
        if other.name in known
        and (other.cell.norm, other.cell.loss) == (like.cell.norm, like.cell.loss)
    ]
    return fmean(same or known.values()) if known else None
