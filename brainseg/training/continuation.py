"""A longer cell that begins where its shorter sibling ended, as if it had trained from scratch."""

import logging
import shutil

from brainseg.runs.cell import Cell
from brainseg.runs.checkpoint import load_checkpoint, save_checkpoint
from brainseg.runs.folder import BEST, HISTORY, LAST, SPLIT, RunFolder
from brainseg.runs.provenance import CODE

log = logging.getLogger(__name__)


def take_over(cell: Cell, shorter: Cell, title: str) -> None:
    """Fill the folder of `cell` with all that its finished shorter sibling knows.

    Best and last checkpoint (with this cell's configuration) and history, the last checkpoint at
    the end: a kill before it only means that this is done again. A sibling that was trained by
    other code or on other data is left alone, with a word in the log.

    TensorBoard's events stay behind: of two HParams in one run it shows the first, which would be
    the sibling's. The cell's curves there begin where it continues; `history.csv` has them all.

    Args:
        cell: claimed, with its `split.json` written, and without a last checkpoint.
        shorter: its `Cell.shorter`.
        title: what lines in the log begin with.
    """
    if reason := _foreign(cell, shorter):
        log.info("%s  trains from scratch: %s %s", title, shorter.folder.name, reason)
        return
    shutil.copyfile(shorter.folder / HISTORY, cell.folder / HISTORY)
    for name in (BEST, LAST):
        checkpoint = load_checkpoint(shorter.folder / name) | {"config": cell.config}
        save_checkpoint(checkpoint, cell.folder / name)
    log.info("%s  continues %s", title, shorter.folder.name)


def _foreign(cell: Cell, shorter: Cell) -> str | None:
    """Why the sibling's weights may not be those that this code would have trained, or None."""
    metrics = RunFolder(shorter.folder).metrics or {}
    if any(metrics.get(key) != CODE[key] for key in ("versions", "source")):
        return "was made by another version"
    try:
        if (shorter.folder / SPLIT).read_text() != (cell.folder / SPLIT).read_text():
            return "was made on other scans"
        for name in (BEST, LAST):
            load_checkpoint(shorter.folder / name)
    except (ValueError, OSError) as error:
        return f"cannot be continued: {error}"
    return None
