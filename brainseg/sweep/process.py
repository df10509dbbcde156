"""A cell's process: where it comes from, what it does, and how it is waited for and ended."""

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobRuntime, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig

from brainseg import hardware
from brainseg.errors import TERMINATED, reason, terminable
from brainseg.runs.cell import Cell
from brainseg.sweep.outcome import keep_failure
from brainseg.sweep.worker import Turn, train_cell

# What every cell would import by itself, only later: its network, its logger, Hydra's callback.
_IMPORTED = (
    "brainseg.training.fit",
    "brainseg.models.unet",
    "brainseg.sweep.end",
    "tensorboard.plugins.hparams.metadata",
    "torch.utils.tensorboard",
)
_PATIENCE = 30  # seconds that a cell has to end by itself once its sweep is gone

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slot:
    """What a process may use: with several cells side by side, a part of the machine.

    Attributes:
        cores: for torch's threads and the loader's processes; None for all.
        card: the GPU, as CUDA_VISIBLE_DEVICES names it; None leaves that as it is.
    """

    cores: int | None = None
    card: str | None = None


def processes() -> Any:
    """Where cells' processes come from: a forkserver that has the heavy imports done.

    It and they ignore Ctrl-C, which reaches this process too; this one ends them by SIGTERM.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_IMPORTED, __name__])
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


class Child:
    """A cell that trains in a process of its own; whatever happens to that ends here.

    Args:
        context: of `processes`.
        cell: whose `limit` (hours) it may take.
        config: composed, with Hydra's own settings.
        turn: what it is told.
        slot: what it may use.
    """

    def __init__(
        self, context: Any, cell: Cell, config: DictConfig, turn: Turn, slot: Slot
    ) -> None:
        self.cell, self.turn, self.slot = cell, turn, slot
        limit = cell.config["limit"]
        self._end = time.monotonic() + limit * 3600 if limit else None
        self._process: BaseProcess = context.Process(
            target=_train, args=(config, turn, slot), name=cell.folder.name
        )
        with without_main():
            self._process.start()

    def over(self) -> bool:
        """Whether it has ended, or has to be ended since its time is up."""
        return self._late() or not self._process.is_alive()

    def finish(self) -> None:
        """End it if it still runs; note and say why it did not finish its cell."""
        late = self._process.is_alive() and self._late()
        code, there = self.stop(), self.cell.found()
        if there.finished:
            return
        why = there.reason or f"stopped with exit code {code}"
        if late:
            limit = self.cell.config["limit"]
            why = f"took longer than limit={limit} hours; the next call resumes it"
        elif code < 0:
            cause = "; often out of memory" if code == -signal.SIGKILL else ""
            why = f"killed by {signal.Signals(-code).name}{cause}"
        if why != there.reason and self.cell.owns_folder():
            keep_failure(self.cell.folder, why)
        log.error("%s  failed: %s", self.turn.title, why)

    def stop(self) -> int:
        """End it, gently first; its exit code, below 0 for a signal."""
        child = self._process
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

    def _late(self) -> bool:
        return self._end is not None and time.monotonic() > self._end

    @staticmethod
    def wait(children: Sequence["Child"]) -> None:
        """Wait until one of them is over; not at all where there is none."""
        if not children:  # else `wait` never returns
            return
        ends = [child._end for child in children if child._end is not None]
        left = max(0.0, min(3600.0, min(ends) - time.monotonic())) if ends else None
        wait([child._process.sentinel for child in children], left)


def _train(config: DictConfig, turn: Turn, slot: Slot) -> None:
    """What a cell's process does: what Hydra's own launchers do, and end with its sweep."""
    gc.freeze()  # what the forkserver imported is no garbage: no collection has to look at it
    end_with_parent()
    hardware.use(slot.cores, slot.card)
    setup_globals()
    JobRuntime.instance().set("name", config.hydra.job.name)
    try:
        with terminable():
            run_job(
                hydra_context=HydraContext(config_loader=None, callbacks=Callbacks(config)),  # type: ignore[arg-type]
                task_function=partial(train_cell, turn=turn),
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
    except Exception as error:
        sys.exit(reason(error))


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
