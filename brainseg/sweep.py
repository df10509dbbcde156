"""A sweep: every cell in a process of its own, finished ones skipped, failed ones named.

This process composes, prepares the data, waits and prints; it imports neither torch nor
Lightning. A forkserver has them imported, so that a cell starts at once and a cell that is
killed, or runs out of memory, takes only itself along.
"""

import logging
import multiprocessing
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from brainseg import manifest
from brainseg.attempt import (
    Task,
    attempt,
    attempt_in_child,
    interrupted,
    keep_failure,
    refuse,
    terminable,
)
from brainseg.cell import Cell, cells_in, check
from brainseg.config import instantiate
from brainseg.identity import differences, identity
from brainseg.lock import only_one
from brainseg.plan import plan
from brainseg.table import results, text

log = logging.getLogger(__name__)


def run_single(cell: Cell) -> int:
    """Train one cell in this process; returns the exit code."""
    try:
        check(cell.config)
        cell = _resolve(cell)
        if cell.config["plan"]:
            return _plan([cell], _processes())
    except (ValueError, OSError) as error:
        return refuse(error)
    return attempt(Task(cell, title=cell.folder.name))


def run_sweep(cells: Sequence[Cell], job_logging: dict[str, Any]) -> int:
    """Train all cells that are not finished, one after the other, and print their table.

    Those with fewer epochs come first, since a cell may continue a shorter one.

    Args:
        cells: in the order of the command line.
        job_logging: the logging configuration that each cell's process takes over.

    Returns:
        The exit code: 0 if every cell is finished, 1 if one failed, 130 or 143 if interrupted.
    """
    processes = _processes()
    cells = sorted(cells, key=lambda cell: int(cell.config["epochs"]))
    try:
        with terminable():
            cells = _checked(cells, processes)
            if cells[0].config["plan"]:
                return _plan(cells, processes)
            folder = cells[0].folder.parent
            folder.mkdir(parents=True, exist_ok=True)
            with only_one(folder / ".lock", f"{folder} is being trained"):
                manifest.write(cells, cells_in(folder))
                _prepare_data(cells)
                _train(cells, processes, job_logging)
                return _conclude(cells)
    except (KeyboardInterrupt, SystemExit) as stop:
        return interrupted(stop, cells[0])
    except (ValueError, OSError) as error:
        return refuse(error)


def _processes() -> Any:
    """Where cells' processes come from: a forkserver that has the heavy imports done."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["brainseg.fit"])
    return context


def _checked(cells: Sequence[Cell], processes: Any) -> list[Cell]:
    """The cells, each once and with its hardware resolved; none is in another's folder."""
    once: dict[Path, Cell] = {}
    for cell in cells:
        check(cell.config)
        other = once.setdefault(cell.folder, cell)
        if changed := differences(identity(other.config), identity(cell.config)):
            raise ValueError(f"two cells would share {cell.folder}: {'; '.join(changed)}")
    with ProcessPoolExecutor(1, mp_context=processes) as pool:
        resolved = list(pool.map(_resolve, once.values()))
    for cell in resolved:
        cell.refuse_other()
    return resolved


def _resolve(cell: Cell) -> Cell:
    from brainseg.run import hardware  # imports torch: in a child only

    trainer = cell.config["trainer"]
    return replace(cell, config=cell.config | {"trainer": trainer | hardware(trainer)})


def _prepare_data(cells: Sequence[Cell]) -> None:
    """Check and cache each data set once, before any cell trains."""
    prepared: list[dict[str, Any]] = []
    for cell in cells:
        if not cell.finished and cell.config["data"] not in prepared:
            instantiate(cell.config["data"]).prepare()
            prepared.append(cell.config["data"])


def _plan(cells: Sequence[Cell], processes: Any) -> int:
    """Print what would be trained; the exit code, 1 where a cell could not be measured."""
    _prepare_data(cells)
    shown, measured = plan(cells, processes, cells_in(cells[0].folder.parent))
    log.info(text(shown))
    return 0 if measured else 1


def _train(cells: Sequence[Cell], processes: Any, job_logging: dict[str, Any]) -> None:
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
        _train_in_child(processes, Task(cell, title, after, shorter), job_logging)


def _train_in_child(processes: Any, task: Task, job_logging: dict[str, Any]) -> None:
    """Train a cell in a process of its own; whatever happens to it ends here."""
    cell, limit = task.cell, task.cell.config["limit"]
    name = cell.folder.name
    child = processes.Process(target=attempt_in_child, args=(task, job_logging), name=name)
    child.start()
    late = False
    try:
        child.join(None if limit is None else limit * 3600)
        late = child.is_alive()
    finally:
        code = _stop(child, patience=0 if late else 5)
    if late:
        keep_failure(cell, f"took longer than limit={limit} hours; the next call resumes it")
    elif code < 0:
        cause = "; often out of memory" if code == -signal.SIGKILL else ""
        keep_failure(cell, f"killed by {signal.Signals(-code).name}{cause}")
    elif not cell.finished and cell.failure() is None:
        keep_failure(cell, f"stopped with exit code {code}")
    if not cell.finished:
        log.error("%s  failed: %s", task.title, cell.failure())


def _stop(child: BaseProcess, patience: float) -> int:
    """End a child that still runs, gently first; its exit code, below 0 for a signal."""
    child.join(patience)  # Ctrl-C reaches it from the terminal too
    if child.is_alive():
        child.terminate()
        child.join(10)
    if child.is_alive():
        child.kill()
        child.join()
    code = child.exitcode
    assert code is not None
    child.close()
    return code


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
