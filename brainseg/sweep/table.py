"""The table that ends a sweep, from what is on disk."""

import io
import shutil
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from brainseg.runs.cell import Cell
from brainseg.runs.folder import RunFolder

ALWAYS_SHOWN = ("norm", "loss", "epochs", "seed")


def results(cells: Sequence[Cell], refused: Mapping[str, str] | None = None) -> Table:
    """A row per cell: finished ones by val Dice, best first, then the others with their reason.

    Args:
        cells: of a sweep.
        refused: why a cell could not use its folder, by folder name.
    """
    keys = (*ALWAYS_SHOWN, *varied_keys(cells))
    table = Table(
        *keys,
        *("val Dice", "test Dice", "best epoch", "seconds", "folder", "state"),
        caption="Dice by patient: mean over patients, on the original pixels, of the epoch that "
        "was best on val. Choose on val; test only says how good the choice is.",
    )
    found = [(cell, cell.found(), (refused or {}).get(cell.folder.name, "")) for cell in cells]
    for cell, there, why in sorted(found, key=lambda each: 1.0 if each[2] else _rank(each[1])):
        table.add_row(*map(escape, (*settings(cell, keys), *_outcome(there, why))))
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


def settings(cell: Cell, keys: Sequence[str]) -> list[str]:
    """A cell's values of some keys, in words; empty where it has none."""
    known = {**cell.choices, **cell.config, **cell.identity}
    known |= {key: cell.choices[key] for key in keys if key in cell.choices}
    return [str(known.get(key, "")) for key in keys]


def varied_keys(cells: Sequence[Cell]) -> list[str]:
    """What differs between the cells beside norm, loss, epochs and seed.

    A group whose option differs stands for its keys: `sampler`, not `sampler.share`.
    """
    cells = [cell for cell in cells if "model" in cell.config]  # of others little is known
    if not cells:
        return []
    identities = [cell.identity for cell in cells]
    keys = [
        key
        for key in sorted(set().union(*identities))
        if len({repr(each.get(key)) for each in identities}) > 1
    ]
    of = {key: key.partition(".")[0] for key in keys}
    groups = [g for g in set(of.values()) if len({cell.choices.get(g) for cell in cells}) > 1]
    own = [key for key in keys if of[key] not in groups]
    return [key for key in sorted(groups) + own if key not in ALWAYS_SHOWN]


def _rank(there: RunFolder) -> float:
    return -(there.dice or 0.0) if there.finished else 1.0


def _outcome(there: RunFolder, refused: str) -> list[str]:
    name = there.path.name
    if refused:
        return ["", "", "", "", name, f"refused: {refused}"]
    if not there.finished:
        state = {"new": "failed: not run", "interrupted": "interrupted", "running": "running"}
        return ["", "", "", "", name, state.get(there.state, f"failed: {there.reason}")]
    metrics = there.required_metrics
    best = metrics["scores"]["best"]
    return [
        f"{best['val']['dice']:.3f}",
        f"{best['test']['dice']:.3f}",
        f"{metrics['best_epoch']} of {metrics['epochs']}",
        f"{sum(metrics['seconds'].values()):.0f}",
        name,
        "LEAKY split" if metrics["split"]["leaky"] else "finished",
    ]
