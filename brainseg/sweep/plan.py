"""`plan=true`: what a sweep would train, and for how long, from its folder alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from brainseg.logs import clock
from brainseg.runs.cell import Cell
from brainseg.runs.folder import RunFolder
from brainseg.sweep import manifest
from brainseg.sweep.progress import progress, seconds_for
from brainseg.sweep.table import ALWAYS_SHOWN, settings, varied_keys


@dataclass(frozen=True)
class Planned:
    """What a sweep has to do with one cell.

    Attributes:
        cell: which.
        state: how far it is, and where it begins.
        epochs: still to train.
        seconds: until it is finished; None where no epoch of any cell is trained yet.
    """

    cell: Cell
    state: str
    epochs: int
    seconds: float | None


def plan(cells: Sequence[Cell], finished: Sequence[Cell] = ()) -> Group:
    """A table of what is to do, and its sum beneath.

    An epoch takes what it took in the cell itself, else in those of the same norm and loss in its
    folder, else in all. Precision `auto` is taken to be what the folder has already: to work it
    out needs torch.

    Args:
        cells: in the order of training.
        finished: finished cells in the sweep's folder, which longer ones may continue.

    Raises:
        ValueError: a folder is another cell's.
    """
    cells = _as_begun(cells, finished)
    folder = cells[0].folder.parent
    listed = manifest.earlier(folder) | manifest.listed(cells, finished)
    known = {each.name: each for each in progress(manifest.Manifest(folder, "", listed))}
    planned = []
    for number, cell in enumerate(cells):
        cell.refuse_other()
        others = [*finished, *cells[:number]]
        epochs, there = cell.epochs_left(others), known[cell.folder.name]
        seconds = 0.0 if cell.finished else seconds_for(there, epochs, list(known.values()))
        planned.append(Planned(cell, _state(cell, others), epochs, seconds))
    return Group(_table(planned), Text(_sum(planned)))


def _as_begun(cells: Sequence[Cell], finished: Sequence[Cell]) -> list[Cell]:
    own = [RunFolder(cell.folder).config for cell in cells]
    known = [config for config in (*own, *(cell.config for cell in finished)) if config]
    begun = []
    for cell, saved in zip(cells, own, strict=True):
        trainer, like = cell.config["trainer"], saved or next(iter(known), cell.config)
        if trainer["precision"] == "auto":
            trainer = trainer | {"precision": like.get("trainer", {}).get("precision", "auto")}
        begun.append(replace(cell, config=cell.config | {"trainer": trainer}))
    return begun


def _sum(planned: Sequence[Planned]) -> str:
    to_do = [each for each in planned if not each.cell.finished]
    line = f"{len(to_do)} of {len(planned)} cells to train, {sum(p.epochs for p in to_do)} epochs"
    seconds = [each.seconds for each in to_do if each.seconds is not None]
    if len(seconds) < len(to_do):
        return f"{line}; time unknown until an epoch of some cell is trained"
    return f"{line}, about {clock(sum(seconds))}"


def _table(planned: Sequence[Planned]) -> Table:
    keys = (*ALWAYS_SHOWN, *varied_keys([each.cell for each in planned]))
    table = Table(*keys, "state", "to train", "time", "folder")
    for each in planned:
        time = "unknown" if each.seconds is None else clock(each.seconds) if each.seconds else ""
        row = (each.state, str(each.epochs), time, each.cell.folder.name)
        table.add_row(*map(escape, (*settings(each.cell, keys), *row)))
    return table


def _state(cell: Cell, others: Sequence[Cell]) -> str:
    there = cell.found()
    if there.finished:
        return "finished"
    if there.history:
        state = f"resumes after epoch {len(there.history)}"
    elif shorter := cell.shorter(others):
        state = f"continues from {shorter.folder.name}"
    else:
        state = "to train"
    return f"{state}; failed before: {there.failure}" if there.failure else state
