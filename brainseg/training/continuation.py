"""A longer cell that begins where its shorter sibling ended, as if it had trained from scratch."""

import logging
import shutil
from pathlib import Path

import lightning as L

from brainseg.files import write_whole
from brainseg.runs.cell import Cell
from brainseg.runs.checkpoint import load_checkpoint, save_checkpoint
from brainseg.runs.folder import BEST, HISTORY, LAST, SPLIT, STABLE, RunFolder
from brainseg.runs.provenance import CODE

log = logging.getLogger(__name__)


def take_over(cell: Cell, shorter: Cell, title: str) -> None:
    """Fill the folder of `cell` with all that its finished shorter sibling knows.

    Best and last checkpoint of the epochs in common (with this cell's configuration) and their
    history, the last checkpoint at the end: a kill before it only means that this is done again. A
    sibling that was trained by other code or on other data is left alone, with a word in the log.

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
    rows = (shorter.folder / HISTORY).read_text().splitlines(keepends=True)
    write_whole(cell.folder / HISTORY, "".join(rows[: 1 + shorter.in_common]))
    for name, path in _checkpoints(shorter).items():
        save_checkpoint(load_checkpoint(path) | {"config": cell.config}, cell.folder / name)
    log.info("%s  continues %s after epoch %d", title, shorter.folder.name, shorter.in_common)


class KeepStable(L.Callback):
    """Keeps the checkpoints as they are before the rate decays, for a longer cell to continue.

    Args:
        folder: the run folder.
        epochs: those before the rate decays.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        self.folder, self.epochs = folder, epochs

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Copy them when the first epoch of the decay begins, or is resumed."""
        if trainer.current_epoch == self.epochs > 0:
            for name, kept in STABLE.items():
                partial = self.folder / f"{kept}.part"
                shutil.copyfile(self.folder / name, partial)
                partial.replace(self.folder / kept)


def _checkpoints(shorter: Cell) -> dict[str, Path]:
    """Its best and last checkpoint of the epochs in common; it may have stopped before."""
    whole = len(RunFolder(shorter.folder).history) <= shorter.in_common
    return {name: shorter.folder / (name if whole else STABLE[name]) for name in (BEST, LAST)}


def _foreign(cell: Cell, shorter: Cell) -> str | None:
    """Why the sibling's weights may not be those that this code would have trained, or None."""
    metrics = RunFolder(shorter.folder).metrics or {}
    if any(metrics.get(key) != CODE[key] for key in ("versions", "source")):
        return "was made by another version"
    try:
        if (shorter.folder / SPLIT).read_text() != (cell.folder / SPLIT).read_text():
            return "was made on other scans"
        for path in _checkpoints(shorter).values():
            load_checkpoint(path)
    except (ValueError, OSError) as error:
        return f"cannot be continued: {error}"
    return None
