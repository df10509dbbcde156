"""One try at a cell: every way in which it can end becomes one line and an exit code."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from brainseg import logs
from brainseg.errors import INTERRUPTED, TERMINATED, reason, terminable
from brainseg.runs.cell import LAST, Cell

log = logging.getLogger(__name__)

_PATIENCE = 30  # seconds that a cell has to end by itself once its sweep is gone


@dataclass(frozen=True)
class Task:
    """A cell to train.

    Attributes:
        cell: its precision and accelerator are resolved.
        title: what its lines in the log begin with, such as `cell 3 of 18 group-dice-e50-s0`.
        epochs_after: epochs that a sweep has still to train after it.
        shorter: a finished cell that it continues.
    """

    cell: Cell
    title: str
    epochs_after: int = 0
    shorter: Cell | None = None


def attempt(task: Task) -> int:
    """Train a cell in this process; the exit code."""
    try:
        with terminable():
            from brainseg.training.fit import fit  # imports torch: in a child, or in a single run

            logs.adopt_lightning()
            fit(
                task.cell,
                title=task.title,
                epochs_after=task.epochs_after,
                bar=sys.stderr.isatty(),
                shorter=task.shorter,
            )
    except (KeyboardInterrupt, SystemExit) as stop:  # Lightning turns the first into the second
        return interrupted(stop, task.cell)
    except Exception as error:
        return refuse(error, task.cell)
    return 0


def attempt_in_child(task: Task, job_logging: dict[str, Any]) -> None:
    """What a cell's process does: train, and end with the sweep that started it."""
    end_with_parent()
    try:
        logs.configure(job_logging, task.cell.folder)
    except OSError as error:
        sys.exit(reason(error))
    sys.exit(attempt(task))


def end_with_parent() -> None:
    """End when the process that started this one ends, also where it was killed."""
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(TERMINATED)  # the main thread never came to it, as in a driver that hangs


def interrupted(stop: BaseException, cell: Cell) -> int:
    """Print the command that resumes, deaf to further signals; the exit code."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)
    # a sweep says it for its cells
    level = logging.DEBUG if multiprocessing.parent_process() else logging.WARNING
    log.log(level, "interrupted; the epoch under way is lost; resume with: %s", cell.command)
    return TERMINATED if getattr(stop, "code", None) == TERMINATED else INTERRUPTED


def refuse(error: Exception, cell: Cell | None = None) -> int:
    """Say in one line what went wrong; a traceback goes to the log file alone."""
    expected = isinstance(error, ValueError | OSError | FloatingPointError | MemoryError)
    text = reason(error)
    if cell is not None and _is_own(cell):
        keep_failure(cell, text)
        if not expected:
            text += f" (traceback in {cell.folder / 'train.log'})"
        if (cell.folder / LAST).is_file():
            text += f"; resume with: {cell.command}"
    log.error(text)
    log.debug("traceback", exc_info=error)
    return 1


def _is_own(cell: Cell) -> bool:
    """Whether the folder is the cell's, so that a failure may be noted in it."""
    try:
        return not cell.changed()
    except ValueError:  # its configuration is broken, which may be the very error
        return False


def keep_failure(cell: Cell, text: str) -> None:
    """Write why a try failed into the cell's folder, if that can be written."""
    try:
        cell.write_failure(text)
    except OSError as error:  # such as the full disk that is the reason
        log.debug("the reason could not be kept in %s: %s", cell.folder, error)
