"""`plan=true`: what a sweep would train, for how long, and whether it fits; trains nothing."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from brainseg.cell import BEST, LAST, Cell
from brainseg.cost import Cost, costs
from brainseg.progress import clock
from brainseg.table import settings, varied_keys

_CGROUP = Path("/sys/fs/cgroup/memory.max")  # the limit of a container


@dataclass(frozen=True)
class Planned:
    """What a sweep has to do with one cell.

    Attributes:
        cell: its hardware is resolved.
        state: how far it is, and where it begins.
        epochs: still to train.
        cost: None where nothing is to do; a reason where it could not be measured.
    """

    cell: Cell
    state: str
    epochs: int
    cost: Cost | str | None

    @property
    def seconds(self) -> float:
        """Until it is finished; 0 where that is not known."""
        if not isinstance(self.cost, Cost):
            return 0.0
        return self.cost.outside + self.epochs * self.cost.epoch

    @property
    def disk(self) -> int:
        """Bytes that its checkpoints and predictions will take beside what lies there already."""
        if not isinstance(self.cost, Cost):
            return 0
        there = sum(_size(self.cell.folder / name) for name in (BEST, LAST))
        return max(0, self.cost.best + self.cost.last + self.cost.predictions - there)


def plan(
    cells: Sequence[Cell], processes: Any, finished: Sequence[Cell] = ()
) -> tuple[RenderableType, bool]:
    """A table of what is to do, its sums beneath, and whether all of it could be measured.

    Args:
        cells: in the order of training; their hardware is resolved and their data prepared.
        processes: the multiprocessing context that cells' processes come from.
        finished: other finished cells in the sweep's folder, which longer ones may continue.
    """
    to_do = [cell for cell in cells if not cell.finished]
    known = dict(zip([cell.folder for cell in to_do], costs(to_do, processes), strict=True))
    planned = []
    for number, cell in enumerate(cells):
        others = [*finished, *cells[:number]]
        epochs = cell.epochs_left(others)
        planned.append(Planned(cell, _state(cell, others), epochs, known.get(cell.folder)))
    shown = Group(_table(planned), *[Text(line) for line in sums(planned)])
    return shown, not any(isinstance(each.cost, str) for each in planned)


def sums(planned: Sequence[Planned]) -> list[str]:
    """Cells, hours, memory, GPU memory and disk, a line each, beside what the machine has."""
    to_do = [each for each in planned if not each.cell.finished]
    time = clock(sum(each.seconds for each in to_do))
    epochs = sum(each.epochs for each in to_do)
    lines = [f"{len(to_do)} of {len(planned)} cells to train, {epochs} epochs, about {time}"]
    unknown = sum(isinstance(each.cost, str) for each in to_do)
    if unknown:
        lines.append(f"{unknown} of them could not be measured and count as nothing here")
    known = [each.cost for each in to_do if isinstance(each.cost, Cost)]
    if not known:
        return lines
    lines.append(_beside("memory", max(each.memory for each in known), "of", _memory()))
    if gpu := max(each.gpu for each in known):
        lines.append(_beside("GPU memory", gpu, "of", known[0].gpu_total))
    place = planned[0].cell.folder
    # while a checkpoint is replaced, the old one lies beside the new
    need = sum(each.disk for each in to_do) + max(each.last for each in known)
    free = shutil.disk_usage(next(each for each in place.parents if each.exists())).free
    lines.append(_beside("disk", need, "more, free are", free))
    return lines


def _table(planned: Sequence[Planned]) -> Table:
    cells = [each.cell for each in planned]
    varied = varied_keys(cells)
    table = Table(
        *("norm", "loss", "epochs", "seed", *varied),
        *("state", "to train", "time", "memory", "disk", "folder"),
        caption="Time and memory from a few measured steps, training process alone; "
        "disk: checkpoints and predictions.",
    )
    for each in planned:
        cell = each.cell
        row = [each.state, str(each.epochs), *_costs(each), cell.folder.name]
        table.add_row(*settings(cell, varied), *row)
    return table


def _costs(each: Planned) -> list[str]:
    """Time, memory and disk of a row."""
    if not isinstance(each.cost, Cost):
        return ["", "", ""] if each.cost is None else ["not measured", "", ""]
    memory = _gb(each.cost.memory)
    if each.cost.gpu:
        memory += f" + GPU {_gb(each.cost.gpu)}"
    return [clock(each.seconds), memory, _gb(each.disk)]


def _state(cell: Cell, others: Sequence[Cell]) -> str:
    if cell.finished:
        return "done"
    if done := cell.epochs_done:
        state = f"resumes after epoch {done}"
    elif shorter := cell.shorter(others):
        state = f"continues from {shorter.folder.name}"
    else:
        state = "to train"
    return f"{state}; failed before: {reason}" if (reason := cell.failure()) else state


def _beside(what: str, need: int, relation: str, there: int) -> str:
    return f"{what}: {_gb(need)} {relation} {_gb(there)}" + (
        " - TOO LITTLE" if need > there else ""
    )


def _memory() -> int:
    """Bytes of memory that this machine, or the container on it, has."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP.read_text().strip() if _CGROUP.is_file() else "max"
    return there if limit == "max" else min(there, int(limit))


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
