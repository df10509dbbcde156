"""What training a cell costs, measured by a few of its steps in a process of its own.

Like `brainseg.sweep`, this process imports no torch: its children do.
"""

import json
import logging
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from brainseg.attempt import follow_parent, reason
from brainseg.cell import Cell
from brainseg.identity import identity

log = logging.getLogger(__name__)

# What changes a result but not what an epoch of it costs.
_NO_COST = ("seed", "epochs", "optimizer.lr", "scheduler", "callbacks", "split")


@dataclass(frozen=True)
class Cost:
    """What a cell costs on this machine.

    Attributes:
        epoch: seconds of an epoch's training and validation.
        outside: seconds of start and scoring, whatever the epochs.
        parameters: of the network.
        best: bytes of `best.ckpt`: the weights.
        last: bytes of `last.ckpt`: the weights and the optimizer's state.
        predictions: bytes of `predictions.npz` before it is compressed.
        memory: peak bytes of the process that trains.
        gpu: peak bytes on the GPU; 0 without one.
        gpu_total: what the GPU has.
    """

    epoch: float
    outside: float
    parameters: int
    best: int
    last: int
    predictions: int
    memory: int
    gpu: int = 0
    gpu_total: int = 0


def costs(cells: Sequence[Cell], processes: Any) -> list[Cost | str]:
    """The cost of every cell, or the reason why it could not be measured.

    Cells that differ in seed, epochs, learning rate, schedule, callbacks or split alone are
    measured once.

    Args:
        cells: their hardware is resolved and their data prepared.
        processes: a multiprocessing context.
    """
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(_kind(cell), cell)
    known: dict[str, Cost | str] = {}
    for number, (kind, cell) in enumerate(first.items(), 1):
        name = cell.folder.name
        log.info("measuring %d of %d: a few steps of %s", number, len(first), name)
        known[kind] = measured = _measured(cell, processes)
        if isinstance(measured, str):
            log.error("%s could not be measured: %s", name, measured)
    return [known[_kind(cell)] for cell in cells]


def _kind(cell: Cell) -> str:
    """Equal for cells that cost the same."""
    kept = {
        key: value
        for key, value in identity(cell.config).items()
        if not any(key == name or key.startswith(f"{name}.") for name in _NO_COST)
    }
    return json.dumps(kept, sort_keys=True, default=repr)


def _measured(cell: Cell, processes: Any) -> Cost | str:
    """Measure in a child, which takes only itself along whatever happens to it."""
    receiver, sender = processes.Pipe(duplex=False)
    child = processes.Process(target=_child, args=(cell.config, sender), name=cell.folder.name)
    child.start()
    sender.close()
    try:
        result: Cost | str = receiver.recv()
        child.join(10)
    except EOFError:
        child.join()
        result = _death(child.exitcode)
    finally:
        child.kill()
        child.join()
        receiver.close()
    return result


def _child(config: dict[str, Any], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    threading.Thread(target=follow_parent, daemon=True).start()
    logging.getLogger().addHandler(logging.NullHandler())  # a plan is not a run: no lines of it
    from brainseg.warmup import measure  # imports torch

    try:
        sender.send(measure(config))
    except Exception as error:
        sender.send(reason(error))


def _death(code: int) -> str:
    if code >= 0:
        return f"stopped with exit code {code}"
    cause = "; often out of memory" if code == -signal.SIGKILL else ""
    return f"killed by {signal.Signals(-code).name}{cause}"
