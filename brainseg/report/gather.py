"""The cells of sweeps, read from their folders: what finished, and what did not and why."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from brainseg.report.cells import SCORES, Result
from brainseg.runs.folder import ASIDE, CONFIG, METRICS, PATIENTS, RunFolder
from brainseg.runs.identity import identity
from brainseg.sweep import manifest
from brainseg.sweep.manifest import MANIFEST, Listed, Manifest

COLUMNS = ("checkpoint", "split", "patient", "institution", "slices", "target", "pixels", *SCORES)
_ROW = ("checkpoint", "split", "patient", "region")  # what tells one from another
_AGREE = 1e-4  # patients.csv holds float32 values, metrics.json their mean


@dataclass(frozen=True)
class Absent:
    """A cell without a result: its state (broken, failed, interrupted, ...) and the reason."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What lies in the folders of sweeps.

    Attributes:
        results: the finished cells.
        absent: the others.
        commands: those that made the cells.
        notes: what a reader must know of how complete this is.
    """

    results: list[Result]
    absent: list[Absent] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(folders: Sequence[Path]) -> Found:
    """Read the cells of one sweep or several, or of a single run.

    Raises:
        FileNotFoundError: a folder is no sweep and no run.
        ValueError: a folder is given twice, `sweep.json` is broken, or two cells are one cell by
            name or by settings.
    """
    found = Found([])
    where: dict[str, Path] = {}
    read_before: set[Path] = set()
    for folder in folders:
        if folder.resolve() in read_before:
            raise ValueError(f"{folder} is given twice; name each sweep once")
        read_before.add(folder.resolve())
        listed = _manifest(folder, found.notes)
        for name, cell in listed.cells.items():
            path = listed.folder / name
            if name in where:
                raise ValueError(
                    f"{path} and {where[name]} have one name, so they are one cell; "
                    "report over one of their sweeps, or move one of the folders away"
                )
            where[name] = path
            result = _read_cell(path, cell)
            if isinstance(result, Result):
                found.results.append(result)
            else:
                found.absent.append(result)
        found.commands.append(listed.command)
    used = dict.fromkeys([*found.commands, *(r.metrics.get("command", "") for r in found.results)])
    found.commands[:] = [command for command in used if command]
    _refuse_twins(found.results)
    return found


def _manifest(folder: Path, notes: list[str]) -> Manifest:
    """The cells that a sweep lists, and those in its folder that it does not."""
    folder = folder.absolute()
    inside = sorted(path.parent for path in folder.glob("*/.hydra") if path.parent.suffix != ASIDE)
    unlisted = {path.name: Listed("", "", 0, 0) for path in inside}
    if (folder / MANIFEST).is_file() or not inside:
        listed = manifest.read(folder)
        return Manifest(listed.folder, listed.command, unlisted | listed.cells)
    notes.append(
        f"{folder.name} has no {MANIFEST} (an older version made it), so cells that never began "
        "are not known."
    )
    return Manifest(folder, "", unlisted)


def _read_cell(path: Path, cell: Listed) -> Result | Absent:
    there = RunFolder(path)
    if there.state != "finished":
        trained = "" if there.reason else f"{len(there.history)} of {cell.epochs or '?'} epochs"
        return Absent(there.name, there.state, there.reason or f"{trained} trained")
    try:
        return _read_result(there)
    except ValueError as error:
        return Absent(there.name, "broken", f"{error}".partition("\n")[0])


def _read_result(there: RunFolder) -> Result:
    if (patients := there.patients) is None:
        raise ValueError(f"it has no {PATIENTS}; move the folder away and run its command again")
    if there.config is None or not there.choices:
        raise ValueError(f"it has no {CONFIG}; move the folder away and run its command again")
    if lacking := [name for name in COLUMNS if name not in patients]:
        raise ValueError(f"{PATIENTS} lacks the column {lacking[0]}")
    history = pd.DataFrame(there.history).astype({"epoch": int} if there.history else {})
    metrics = there.required_metrics
    result = Result(there.name, there.config, there.choices, metrics, patients, history)
    _refuse_other_patients(result)
    return result


def _refuse_other_patients(result: Result) -> None:
    told, counted = result.score("best", "test"), result.by_patient()
    row = [name for name in _ROW if name in result.patients]  # no region up to revision 56d7aae
    twice = result.patients.duplicated(row).any()
    if twice or not result.patients["dice"].between(0, 1).all():
        raise ValueError("patients.csv has a patient twice, or a Dice outside 0 to 1")
    if told is None or counted.empty:
        return
    if abs(float(counted.mean()) - told) > _AGREE:
        raise ValueError(
            f"the mean Dice of patients.csv, {counted.mean():.4f}, is not that of {METRICS}, "
            f"{told:.4f}"
        )


def _refuse_twins(results: Sequence[Result]) -> None:
    seen: dict[str, str] = {}
    for result in results:
        key = json.dumps(identity(result.config), sort_keys=True, default=str)
        if key in seen:
            raise ValueError(
                f"{result.name} and {seen[key]} have the same settings, so they are one cell; "
                "report over one of them"
            )
        seen[key] = result.name
