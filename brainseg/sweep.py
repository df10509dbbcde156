"""A sweep: every cell in a process of its own, finished ones skipped, failed ones named.

This process composes, prepares the data, waits and prints; it imports neither torch nor
Lightning. A forkserver has them imported, so that a cell starts at once and a cell that is
killed, or runs out of memory, takes only itself along.
"""

import io
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from brainseg import logs
from brainseg.cell import LAST, Cell, check, differences, identity
from brainseg.config import instantiate
from brainseg.table import results

log = logging.getLogger(__name__)

INTERRUPTED, TERMINATED = 130, 143  # the shell's exit codes for Ctrl-C and SIGTERM


def run_single(cell: Cell) -> int:
    """Train one cell in this process; returns the exit code."""
    try:
        check(cell.config)
        cell = _resolve(cell)
    except ValueError as error:
        return _refuse(error)
    return _attempt(cell, title=cell.folder.name, epochs_after=0)


def run_sweep(cells: Sequence[Cell], job_logging: dict[str, Any]) -> int:
    """Train all cells that are not finished, one after the other, and print their table.

    Args:
        cells: in the order of the command line.
        job_logging: the logging configuration that each cell's process takes over.

    Returns:
        The exit code: 0 if every cell is finished, 1 if one failed.
    """
    processes = _processes()
    try:
        cells = _checked(cells, processes)
        waiting = [cell for cell in cells if not cell.finished]
        _prepare_data(waiting)
    except (ValueError, OSError) as error:
        return _refuse(error)
    finished = len(cells) - len(waiting)
    log.info("%d cells, %d of them finished; %s", len(cells), finished, cells[0].folder.parent)
    with _terminable():
        for number, cell in enumerate(cells, 1):
            title = f"cell {number} of {len(cells)} {cell.folder.name}"
            if cell.finished:
                log.info("%s  finished before, skipped", title)
                continue
            after = sum(c.config["epochs"] for c in cells[number:] if not c.finished)
            try:
                _run_in_child(processes, cell, title, after, job_logging)
            except (KeyboardInterrupt, SystemExit) as stop:
                return _interrupted(stop, cell)
    return _conclude(cells)


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
    with processes.Pool(1) as pool:
        resolved: list[Cell] = pool.map(_resolve, once.values())
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
        if cell.config["data"] not in prepared:
            instantiate(cell.config["data"]).prepare()
            prepared.append(cell.config["data"])


def _run_in_child(
    processes: Any, cell: Cell, title: str, epochs_after: int, job_logging: dict[str, Any]
) -> None:
    """Train a cell in a process of its own; whatever happens to it ends here."""
    child = processes.Process(
        target=_child, args=(cell, title, epochs_after, job_logging), name=cell.folder.name
    )
    child.start()
    try:
        child.join()
    finally:
        _stop(child)
    if not cell.finished and cell.failure() is None:
        code = child.exitcode
        cell.write_failure(
            f"killed by {signal.Signals(-code).name} (SIGKILL: often out of memory)"
            if code and code < 0
            else f"stopped with exit code {code}"
        )
    if not cell.finished:
        log.error("%s  failed: %s", title, cell.failure())


def _stop(child: BaseProcess) -> None:
    """End a child that still runs, gently first."""
    if child.is_alive():
        child.join(5)  # Ctrl-C reaches it from the terminal too
    if child.is_alive():
        child.terminate()
        child.join(10)
    if child.is_alive():
        child.kill()
        child.join()


def _child(cell: Cell, title: str, epochs_after: int, job_logging: dict[str, Any]) -> None:
    """What a cell's process does."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    logs.configure(job_logging, cell.folder)
    sys.exit(_attempt(cell, title, epochs_after))


def _follow_parent() -> None:
    """End with the sweep, also where it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _attempt(cell: Cell, title: str, epochs_after: int) -> int:
    """Train a cell; every way in which it can end becomes a line and an exit code."""
    from brainseg.fit import fit  # imports torch: in a child, or in a single run

    logs.adopt_lightning()
    try:
        with _terminable():
            fit(cell, title=title, epochs_after=epochs_after, bar=sys.stderr.isatty())
    except (KeyboardInterrupt, SystemExit) as stop:  # Lightning turns the first into the second
        return _interrupted(stop, cell)
    except Exception as error:
        return _refuse(error, cell)
    return 0


def _interrupted(stop: BaseException, cell: Cell) -> int:
    log.warning("interrupted; the epoch under way is lost; resume with: %s", cell.command)
    return TERMINATED if getattr(stop, "code", None) == TERMINATED else INTERRUPTED


def _refuse(error: Exception, cell: Cell | None = None) -> int:
    """Say in one line what went wrong; a traceback goes to the log file alone."""
    expected = isinstance(error, ValueError | OSError | FloatingPointError)
    reason = str(error) if expected else f"{type(error).__name__}: {error}"
    if cell is not None and not cell.changed():  # else the folder is another's
        cell.write_failure(reason)
        if not expected:
            reason += f" (traceback in {cell.folder / 'train.log'})"
    if cell is not None and (cell.folder / LAST).is_file():
        reason += f"; resume with: {cell.command}"
    log.error(reason)
    log.debug("traceback", exc_info=error)
    return 1


def _conclude(cells: Sequence[Cell]) -> int:
    """Print the table of a sweep from what is on disk; the exit code."""
    text = io.StringIO()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 140
    Console(file=text, width=width).print(results(cells))
    log.info("%s", text.getvalue())
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


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that the cell under way is ended too."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
