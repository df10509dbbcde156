"""A cell's process: where it comes from, and how it is waited for and ended."""

import logging
import math
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from brainseg.sweep.worker import Task, attempt_in_child, keep_failure

log = logging.getLogger(__name__)


def processes() -> Any:
    """Where cells' processes come from: a forkserver that has the heavy imports done.

    It and they ignore Ctrl-C, which reaches this process too; this one ends them by SIGTERM.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["brainseg.training.fit"])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with without_main():
        forkserver.ensure_running()
    signal.signal(signal.SIGINT, before)
    return context


@contextmanager
def without_main() -> Iterator[None]:
    """Start processes that know nothing of the program that calls brainseg.

    Python imports the parent's `__main__` into each of them, and a script that calls `train.main()`
    without `if __name__ == "__main__"` would start its sweep anew there.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def train_in_child(context: Any, task: Task, job_logging: dict[str, Any]) -> None:
    """Train a cell in a process of its own; whatever happens to it ends here."""
    cell, limit = task.cell, task.cell.config["limit"]
    name = cell.folder.name
    child = context.Process(target=attempt_in_child, args=(task, job_logging), name=name)
    with without_main():
        child.start()
    late = False
    try:
        late = not _ended(child, math.inf if limit is None else limit * 3600)
    finally:
        code = _stop(child)
    if late:
        keep_failure(cell, f"took longer than limit={limit} hours; the next call resumes it")
    elif code < 0:
        cause = "; often out of memory" if code == -signal.SIGKILL else ""
        keep_failure(cell, f"killed by {signal.Signals(-code).name}{cause}")
    elif not cell.finished and cell.failure() is None:
        keep_failure(cell, f"stopped with exit code {code}")
    if not cell.finished:
        log.error("%s  failed: %s", task.title, cell.failure())


def _ended(child: BaseProcess, seconds: float) -> bool:
    """Whether a child ends within so many seconds."""
    end = time.monotonic() + seconds
    while child.is_alive() and (left := end - time.monotonic()) > 0:
        child.join(min(left, 3600))  # the system's own limit is some weeks
    return not child.is_alive()


def _stop(child: BaseProcess) -> int:
    """End a child that still runs, gently first; its exit code, below 0 for a signal."""
    try:
        if child.is_alive():
            child.terminate()
            child.join(10)
    finally:  # also at a second Ctrl-C
        child.kill()
        child.join()
    code = child.exitcode
    assert code is not None
    child.close()
    return code
