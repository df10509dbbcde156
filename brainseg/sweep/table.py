"""The table that ends a sweep, from what is on disk."""

import io
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from brainseg.runs.cell import Cell, read_metrics

_ALWAYS_SHOWN = ("norm", "loss", "epochs", "seed")


def results(cells: Sequence[Cell]) -> Table:
    """A row per cell: finished ones by val Dice, best first, then the others with their reason."""
    varied = varied_keys(cells)
    table = Table(
        *("norm", "loss", "epochs", "seed", *varied),
        *("val Dice", "test Dice", "best epoch", "seconds", "folder", "state"),
        caption="Dice by patient: mean over patients, on the original pixels, of the epoch that "
        "was best on val. Choose on val; test only says how good the choice is.",
    )
    for cell in sorted(cells, key=_rank):
        table.add_row(*map(escape, (*settings(cell, varied), *_outcome(cell))))
    return table


def text(shown: RenderableType) -> str:
    """What rich shows, as text: as wide as the terminal, elsewhere 140 characters and plain."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else 140
    letters = getattr(sys.stdout, "encoding", None) or "utf-8"  # rich draws with those there are
    out = io.TextIOWrapper(io.BytesIO(), letters, errors="replace", newline="\n")
    Console(file=out, width=width, force_terminal=terminal).print(shown)
    out.seek(0)
    return out.read().rstrip()


def settings(cell: Cell, varied: Sequence[str]) -> list[str]:
    """What a row begins with: norm, loss, epochs, seed, and the varied keys that the cell has."""
    known = {**cell.choices, **cell.config, **cell.identity}
    known |= {key: cell.choices[key] for key in ("norm", "loss", *varied) if key in cell.choices}
    return [str(known.get(key, "")) for key in (*_ALWAYS_SHOWN, *varied)]


def varied_keys(cells: Sequence[Cell]) -> list[str]:
    """What differs between the cells beside norm, loss, epochs and seed.

    A group whose option differs stands for its keys: `sampler`, not `sampler.share`.
    """
    groups = [g for g in cells[0].choices if len({cell.choices.get(g) for cell in cells}) > 1]
    identities = [cell.identity for cell in cells]
    keys = [
        key
        for key in sorted(set().union(*identities))
        if len({repr(each.get(key)) for each in identities}) > 1 and key.split(".")[0] not in groups
    ]
    return [key for key in groups + keys if key not in _ALWAYS_SHOWN]


def _rank(cell: Cell) -> float:
    return -_metrics(cell)["scores"]["best"]["val"]["dice"] if cell.finished else float("inf")


def _outcome(cell: Cell) -> list[str]:
    name = cell.folder.name
    if not cell.finished:
        return ["", "", "", "", name, f"failed: {cell.failure() or 'not run'}"]
    metrics = _metrics(cell)
    best = metrics["scores"]["best"]
    return [
        f"{best['val']['dice']:.3f}",
        f"{best['test']['dice']:.3f}",
        f"{metrics['best_epoch']} of {metrics['epochs']}",
        f"{sum(metrics['seconds'].values()):.0f}",
        name,
        "LEAKY split" if metrics["split"]["leaky"] else "finished",
    ]


def _metrics(cell: Cell) -> dict[str, Any]:
    metrics = read_metrics(cell.folder)
    assert metrics is not None
    return metrics
