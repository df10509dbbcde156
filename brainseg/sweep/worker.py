"""The Hydra task: one cell, in whatever process a launcher gives it, to its best val Dice.

Every way in which a cell can end becomes one line, and a note in its folder.
"""

import logging
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from brainseg import logs
from brainseg.config import check_types, instantiate
from brainseg.errors import TERMINATED
from brainseg.runs.cell import Cell, finished_in
from brainseg.runs.identity import folder_name
from brainseg.sweep import manifest
from brainseg.sweep.outcome import interrupted, leave_nothing, refuse
from brainseg.sweep.plan import plan
from brainseg.sweep.table import text
from brainseg.values import check

COMMAND = "BRAINSEG_COMMAND"  # in the environment: the command line, which workers do not have
OURS = "brainseg"  # our launcher's name, as `hydra/launcher` has it

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Turn:
    """What our launcher knows of a cell's turn in its sweep, and no other launcher does.

    Attributes:
        title: what its lines in the log begin with, such as `cell 3 of 18 group-dice-e50-s0`.
        epochs_after: epochs that the sweep has still to train after it, by one process.
        alone: whether no other cell trains beside it, so that it may draw a progress bar.
        told: whether the sweep has said already what is read and what is left out.
    """

    title: str
    epochs_after: int = 0
    alone: bool = True
    told: bool = False


def train_cell(cfg: DictConfig, turn: Turn | None = None) -> float | None:
    """Train one cell, or resume, continue or skip it; what every launcher calls.

    Returns:
        Its best val Dice, on the original pixels; None where it failed, which is said in one line
        and noted in its folder, or where it is only planned.

    Raises:
        SystemExit: interrupted (130, 143); or a run that is no sweep failed (1).
    """
    settings = HydraConfig.get()
    sweep = settings.mode == RunMode.MULTIRUN
    folder = Path(settings.runtime.output_dir)
    cell = cell_of(cfg, settings, folder)
    try:
        planned = cell.config["plan"] is True
        if sweep and turn is None and not planned:
            manifest.write([cell])  # so that the end of the sweep knows of it, whatever happens
        check(cell.config)
        if planned:
            log.info(text(plan([cell], finished_in(folder.parent) if sweep else ())))
            return None
        cell = resolved(cell)
        if cell.finished and (found := fingerprint(cell)):
            cell.refuse_other_scans(found)
        return _train(cell, turn or Turn(folder.name))
    except (KeyboardInterrupt, SystemExit) as stop:  # Lightning turns the first into the second
        interrupted(stop, cell.command)
    except Exception as error:
        if f"signal: {signal.strsignal(signal.SIGTERM)}" in str(error):  # to a worker, and to all
            interrupted(SystemExit(TERMINATED), cell.command)
        expected = refuse(error, cell, listed=sweep)
        if sweep:
            return None
        if expected:
            leave_nothing(cell.folder)
        sys.exit(1)


def _train(cell: Cell, turn: Turn) -> float:
    from brainseg.training.fit import fit  # imports torch: not in the process that owns a sweep

    logs.adopt_lightning()
    if turn.told:
        logs.keep_from_console("brainseg.data.prepare")
    siblings = finished_in(cell.folder.parent, cell.config["epochs"])
    return fit(
        cell,
        title=turn.title,
        epochs_after=turn.epochs_after,
        bar=turn.alone and sys.stderr.isatty(),
        shorter=cell.shorter(siblings),
    )


def fingerprint(cell: Cell) -> str | None:
    """That of a cell's scans, which are prepared for it; None, with a word, if they are gone.

    Raises:
        ValueError: they have faults, or there are none, and the cell is not finished.
        FileNotFoundError: likewise.
    """
    check_types(cell.config["data"], "data")
    scans = instantiate(cell.config["data"])
    try:
        scans.prepare()
    except (ValueError, OSError) as error:
        if not cell.finished:
            raise
        log.warning("%s is not compared with its scans: %s", cell.folder, error)
        return None
    return str(scans.fingerprint)


def resolved(cell: Cell) -> Cell:
    """The cell with its accelerator and precision as this machine has them; imports torch."""
    from brainseg.hardware import resolve

    trainer = cell.config["trainer"]
    return replace(cell, config=cell.config | {"trainer": trainer | resolve(trainer)})


def cell_of(cfg: DictConfig, settings: Any, folder: Path) -> Cell:
    """The cell of a composed configuration.

    Args:
        cfg: composed; a node `hydra` in it is left out.
        settings: Hydra's own.
        folder: the run folder.
    """
    sweep = settings.mode == RunMode.MULTIRUN
    name = Path(settings.sweep.dir).name if sweep else folder.name
    return Cell(_config(cfg), _choices(settings), folder, command(name))


def command(name: str) -> str:
    """The command line of this run or sweep, with the name that it was given or was run under."""
    given = os.environ.get(COMMAND, "python -m brainseg.train")
    return f"{given} {shlex.quote(f'name={name}')}"


def _cell_folder(*, _root_: DictConfig) -> str:
    """The name of a cell's folder, for `hydra.sweep.subdir`: every launcher writes to the same."""
    config, choices = _config(_root_), _choices(_root_.hydra)
    default = _default(choices["norm"], choices["loss"])
    name = folder_name(config, choices, default)
    older = folder_name(config, choices, default, modules=True)  # up to ab2aa83
    sweep = Path(_root_.hydra.sweep.dir)
    return older if (sweep / older).is_dir() and not (sweep / name).is_dir() else name


@cache
def _default(norm: str, loss: str) -> dict[str, Any]:
    return _config(hydra.compose("train", [f"norm={norm}", f"loss={loss}"]))


def _config(cfg: DictConfig) -> dict[str, Any]:
    plain = {str(key): _plain(cfg[key]) for key in cfg if key != "hydra"}
    return plain


def _choices(settings: Any) -> dict[str, str]:
    chosen: Mapping[str, str] = _plain(settings.runtime.choices)
    return {group: option for group, option in chosen.items() if "/" not in group}


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


# at import, for the workers of joblib and submitit, which import the task and nothing else
OmegaConf.register_new_resolver("cell_folder", _cell_folder, replace=True)
