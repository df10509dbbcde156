"""A sweep: every cell in a process of its own, finished ones skipped, failed ones named.

This process composes, prepares the data, waits and prints; it imports neither torch nor
Lightning. A forkserver has them imported, so that a cell starts at once and a cell that is
killed, or runs out of memory, takes only itself along.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from brainseg.config import check, instantiate
from brainseg.errors import terminable
from brainseg.files import only_one
from brainseg.runs.cell import Cell, cells_in
from brainseg.runs.identity import differences
from brainseg.sweep import manifest, process
from brainseg.sweep.plan import plan
from brainseg.sweep.table import results, text
from brainseg.sweep.worker import Task, attempt, end_with_parent, interrupted, refuse

log = logging.getLogger(__name__)


def run_single(cell: Cell) -> int:
    """Train one cell in this process; returns the exit code."""
    try:
        with terminable():
            check(cell.config)
            if cell.config["plan"]:
                log.info(text(plan([cell])))
                return 0
            return attempt(Task(_resolve(cell), title=cell.folder.name))
    except (KeyboardInterrupt, SystemExit) as stop:
        return interrupted(stop, cell)
    except (ValueError, OSError) as error:
        return refuse(error)


def run_sweep(
    cells: Sequence[Cell],
    job_logging: dict[str, Any],
    report: Callable[[Sequence[Cell]], bool] | None = None,
) -> int:
    """Train all cells that are not finished, one after the other, and print their table.

    Those with fewer epochs come first, since a cell may continue a shorter one.

    Args:
        cells: in the order of the command line.
        job_logging: the logging configuration that each cell's process takes over.
        report: writes the report of `report=true`; whether it could.

    Returns:
        The exit code: 0 if all is done, 1 if a cell or the report failed, 130 or 143 if
        interrupted.
    """
    try:
        with terminable():
            cells, folder = _checked(cells), cells[0].folder.parent
            if cells[0].config["plan"]:
                log.info(text(plan(cells, cells_in(folder))))
                return 0
            context = process.processes()
            cells = _resolved(cells, context)
            folder.mkdir(parents=True, exist_ok=True)
            with only_one(folder / ".lock", f"{folder} is being trained"):
                manifest.write(cells, cells_in(folder))
                _prepare_data(cells)
                _train(cells, context, job_logging)
                code = _conclude(cells)
                if report and cells[0].config["report"] and not report(cells):
                    code = 1
                return code
    except (KeyboardInterrupt, SystemExit) as stop:
        return interrupted(stop, cells[0])
    except (ValueError, OSError) as error:
        return refuse(error)


def _checked(cells: Sequence[Cell]) -> list[Cell]:
    """The cells, each once, and those with fewer epochs first.

    Raises:
        ValueError: a value is bad, or two cells would share a folder.
    """
    once: dict[Path, Cell] = {}
    for cell in cells:
        check(cell.config)
    for cell in sorted(cells, key=lambda cell: int(cell.config["epochs"])):
        other = once.setdefault(cell.folder, cell)
        if changed := differences(other.identity, cell.identity):
            raise ValueError(f"two cells would share {cell.folder}: {'; '.join(changed)}")
    return list(once.values())


def _resolved(cells: Sequence[Cell], context: Any) -> list[Cell]:
    """The cells with their hardware resolved.

    Raises:
        ValueError: a folder is another cell's.
    """
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent)
    with pool, process.without_main():
        resolved = list(pool.map(_resolve, cells))
    for cell in resolved:
        cell.refuse_other()
    return resolved


def _resolve(cell: Cell) -> Cell:
    from brainseg.hardware import resolve  # imports torch: in a child only

    trainer = cell.config["trainer"]
    return replace(cell, config=cell.config | {"trainer": trainer | resolve(trainer)})


def _prepare_data(cells: Sequence[Cell]) -> None:
    """Check and cache each data set once, before any cell trains."""
    prepared: list[dict[str, Any]] = []
    for cell in cells:
        if not cell.finished and cell.config["data"] not in prepared:
            instantiate(cell.config["data"]).prepare()
            prepared.append(cell.config["data"])


def _train(cells: Sequence[Cell], context: Any, job_logging: dict[str, Any]) -> None:
    """Try every cell that is not finished."""
    folder = cells[0].folder.parent
    known = [*cells_in(folder), *cells]
    finished = sum(cell.finished for cell in cells)
    log.info("%d cells, %d of them finished; %s", len(cells), finished, folder)
    for number, cell in enumerate(cells, 1):
        title = f"cell {number} of {len(cells)} {cell.folder.name}"
        if cell.finished:
            log.info("%s  finished before, skipped", title)
            continue
        after = sum(later.epochs_left(cells) for later in cells[number:])
        shorter = cell.shorter([other for other in known if other.finished])
        process.train_in_child(context, Task(cell, title, after, shorter), job_logging)


def _conclude(cells: Sequence[Cell]) -> int:
    """Print the table of a sweep from what is on disk; the exit code."""
    log.info(text(results(cells)))
    failed = [cell.folder.name for cell in cells if not cell.finished]
    if failed:
        log.error(
            "%d of %d cells failed: %s; retry them with: %s",
            len(failed),
            len(cells),
            ", ".join(failed),
            cells[0].command,
        )
    return 1 if failed else 0
