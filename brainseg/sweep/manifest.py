"""`sweep.json`: the cells that a sweep has, so that other commands need not compose it again."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from brainseg.files import only_one, write_whole
from brainseg.runs.cell import Cell
from brainseg.runs.content import of as content_of
from brainseg.runs.folder import CONFIG, RunFolder
from brainseg.sweep.table import settings, varied_keys

MANIFEST = "sweep.json"
LOCK = ".lock"  # held while brainseg's own launcher trains
WRITING = ".sweep.lock"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listed:
    """A cell as a sweep lists it.

    Attributes:
        norm: the option chosen.
        loss: the option chosen.
        epochs: passes over the training slices.
        seed: of weights and data order.
        continues: folder name of the shorter cell that it continues if it begins from nothing.
        begins: how many epochs it has of that one then.
        command: that asked for it last.
        refused: why its folder could not be used, which is not noted there.
        varied: what else differs between the cells of that command, as the sweep's table has it.
    """

    norm: str
    loss: str
    epochs: int
    seed: int
    continues: str | None = None
    begins: int = 0
    command: str = ""
    refused: str = ""
    varied: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The cells of a sweep.

    Attributes:
        folder: what the cells' folders lie in.
        command: the shell command that resumes the sweep; empty where it is not known.
        cells: by folder name, in the order of training.
    """

    folder: Path
    command: str
    cells: dict[str, Listed]


def write(cells: Sequence[Cell], finished: Sequence[Cell] = (), refused: str = "") -> None:
    """Write `sweep.json`; cells that an earlier command listed stay listed, before the others.

    Args:
        cells: of the sweep, in the order of training.
        finished: finished cells in its folder, which longer ones may continue.
        refused: why their folders cannot be used.
    """
    folder = cells[0].folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder / WRITING, f"{folder / MANIFEST} is being written"):
        now = listed(cells, finished, refused)
        before = earlier(folder)
        for name in before.keys() & now.keys():  # a cell listed alone does not know the others
            now[name].varied.update(before[name].varied | now[name].varied)
        others = {name: each for name, each in before.items() if name not in now}
        content = {
            "command": cells[0].command,
            "cells": {name: asdict(each) for name, each in (others | now).items()},
        }
        write_whole(folder / MANIFEST, json.dumps(content, indent=1))


def listed(
    cells: Sequence[Cell], finished: Sequence[Cell] = (), refused: str = ""
) -> dict[str, Listed]:
    """The cells as `sweep.json` lists them, by folder name; arguments as of `write`."""
    found, keys = {}, varied_keys(cells)
    for number, cell in enumerate(cells):
        shorter = cell.shorter([*finished, *cells[:number]])
        more: dict[str, Any] = {"varied": dict(zip(keys, settings(cell, keys), strict=True))}
        if shorter:
            more |= {"continues": shorter.folder.name, "begins": shorter.in_common}
        found[cell.folder.name] = _listed(
            cell.choices, cell.config, command=cell.command, refused=refused, **more
        )
    return found


def read(folder: Path) -> Manifest:
    """The cells of a sweep; a single run is a sweep of one.

    Raises:
        FileNotFoundError: there is no such folder, or it is neither a sweep nor a run.
        ValueError: `sweep.json`, or a run's configuration, is broken.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"{folder} {what}; give a sweep's folder (multirun/NAME)")
    if (folder / MANIFEST).is_file():
        return _read(folder)
    run = RunFolder(folder)
    if run.config is None:
        raise FileNotFoundError(
            f"{folder} holds neither {MANIFEST} nor {CONFIG}; give the folder of a sweep "
            "(multirun/NAME) or of a run (outputs/NAME)"
        )
    return Manifest(folder.parent, "", {run.name: _listed(run.choices, run.config)})


def earlier(folder: Path) -> dict[str, Listed]:
    """What `sweep.json` lists; nothing where there is none, or, with a warning, a broken one."""
    if not (folder / MANIFEST).is_file():
        return {}
    try:
        return _read(folder).cells
    except ValueError as error:
        log.warning("%s", error)
        return {}


def _read(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content_of(dict[str, Listed], content["cells"])
        cells = {name: Listed(**each) for name, each in known.items()}
        return Manifest(folder, str(content["command"]), cells)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is broken ({error}); remove it and start the sweep's "
            "command again, which writes it anew and loses no result"
        ) from error


def _listed(choices: Mapping[str, str], config: Mapping[str, Any], **more: Any) -> Listed:
    return Listed(choices["norm"], choices["loss"], config["epochs"], config["seed"], **more)
