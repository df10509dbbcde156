"""A longer cell that begins where its shorter sibling ended, as if it had trained from scratch."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from brainseg.cell import BEST, HISTORY, LAST, METRICS, Cell
from brainseg.checkpoint import load_checkpoint, save_checkpoint
from brainseg.provenance import git_revision, versions

SPLIT = "split.json"

log = logging.getLogger(__name__)


def take_over(cell: Cell, shorter: Cell, title: str) -> None:
    """Fill the folder of `cell` with all that its finished shorter sibling knows.

    Best and last checkpoint (with this cell's configuration), history and TensorBoard's events,
    the last checkpoint at the end: a kill before it only means that this is done again. A sibling
    that was trained by other code or on other data is left alone, with a word in the log.

    Args:
        cell: claimed, with its `split.json` written, and without a last checkpoint.
        shorter: its `Cell.shorter`.
        title: what lines in the log begin with.
    """
    if reason := _foreign(cell, shorter):
        log.info("%s  trains from scratch: %s was made %s", title, shorter.folder.name, reason)
        return
    shutil.copyfile(shorter.folder / HISTORY, cell.folder / HISTORY)
    _copy_events(shorter.folder / "tensorboard", cell.folder / "tensorboard")
    for name in (BEST, LAST):
        checkpoint = load_checkpoint(shorter.folder / name)
        save_checkpoint(checkpoint | {"config": cell.config}, cell.folder / name)
    log.info("%s  continues %s", title, shorter.folder.name)


def _foreign(cell: Cell, shorter: Cell) -> str | None:
    """Why the sibling's weights may not be those that this code would have trained, or None."""
    if not (shorter.folder / LAST).is_file():
        return "without keeping its last checkpoint"
    metrics: dict[str, Any] = json.loads((shorter.folder / METRICS).read_text())
    if (metrics["versions"], metrics["git"]) != (versions(), git_revision()):
        return "by another version"
    if (shorter.folder / SPLIT).read_text() != (cell.folder / SPLIT).read_text():
        return "on other scans"
    return None


def _copy_events(source: Path, target: Path) -> None:
    """Copy curves and pictures; settings and final scores are the longer cell's to write."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("events.out.tfevents.*")):
        with (target / path.name).open("wb") as file:
            writer = RecordWriter(file)
            for record in RawEventFileLoader(str(path)).Load():
                tags = [value.tag for value in Event.FromString(record).summary.value]
                if not any(tag.startswith(("hp/", "_hparams_/")) for tag in tags):
                    writer.write(record)
