"""What happens beside training: a history, a line an epoch, and pictures for TensorBoard."""

import logging
import time
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import default_collate

from brainseg.data.datamodule import SegmentationDataModule
from brainseg.data.dataset import SliceDataset, scaled
from brainseg.figures.overlay import panel
from brainseg.logs import clock
from brainseg.module import THRESHOLD, SegmentationModule

log = logging.getLogger(__name__)


class History(L.Callback):
    """`history.csv`: a row per epoch, that survives a resume, and a line per epoch in the log.

    Columns: epoch (from 1), lr, train/* and val/* scores, seconds. Lightning's CSVLogger deletes
    its file when a run resumes; this one keeps its rows in the checkpoint.

    Args:
        path: the file.
        title: what the line of an epoch begins with, such as `cell 3 of 18 group-dice-e50-s0`.
        epochs_after: epochs of the cells that a sweep has still to train after this one.

    Attributes:
        here: the hardware and code of this process; to be set before training.
        sessions: what trained the epochs: `here`, each with the first epoch that it trained
            (`from_epoch`); a resume on the same hardware by the same code is the same session.
    """

    def __init__(self, path: Path, title: str, epochs_after: int = 0) -> None:
        self.path, self.title, self.epochs_after = path, title, epochs_after
        self.here, self.sessions = dict[str, Any](), list[dict[str, Any]]()
        self.rows: list[dict[str, float]] = []
        self._resumed = 0
        self._start = 0.0

    @property
    def best_epoch(self) -> int:
        """The first with the highest `val/dice`."""
        return int(max(self.rows, key=lambda row: row["val/dice"])["epoch"])

    @property
    def seconds(self) -> float:
        """Seconds of training and validation so far, those before a resume included."""
        return sum(row["seconds"] for row in self.rows)

    @property
    def seconds_now(self) -> float:
        """As `seconds`, of the epochs since this start alone."""
        return sum(row["seconds"] for row in self.rows[self._resumed :])

    @property
    def threads(self) -> int | None:
        """Those that the epochs so far were computed with; None where there are none yet."""
        before = self.sessions[-1].get("hardware", {}) if self.sessions else {}
        return before.get("torch_threads")

    def state_dict(self) -> dict[str, Any]:
        """The rows and the sessions."""
        return {"rows": self.rows, "sessions": self.sessions}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows and the sessions of the checkpoint that is resumed."""
        self.rows = state_dict["rows"]
        self.sessions = state_dict.get("sessions", [])  # none up to ab2aa83
        self._resumed = len(self.rows)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note what trains from here on, and say where it is not what trained before."""
        session = {"from_epoch": len(self.rows) + 1, **self.here}
        before = self.sessions[-1] | {"from_epoch": session["from_epoch"]} if self.sessions else {}
        if before == session:
            return
        self.sessions.append(session)
        changed = [key for key in session if before and before.get(key) != session[key]]
        for key in changed:
            old, new = before.get(key), session[key]
            log.warning("%s  resumes with another %s: %s -> %s", self.title, key, old, new)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch's row and say how it went."""
        scores = {k: float(v) for k, v in trainer.callback_metrics.items() if "/" in k}
        row = {
            "epoch": trainer.current_epoch + 1,
            "lr": float(trainer.optimizers[0].param_groups[0]["lr"]),
            **dict(sorted(scores.items())),
            "seconds": round(time.perf_counter() - self._start, 3),
        }
        self.rows.append(row)
        partial = self.path.with_name(f"{self.path.name}.part")
        pd.DataFrame(self.rows).to_csv(partial, index=False)
        partial.replace(self.path)
        log.info(self._line(row, trainer.max_epochs or 0))

    def _line(self, row: dict[str, float], epochs: int) -> str:
        best = self.rows[self.best_epoch - 1]
        left = epochs - int(row["epoch"])
        times = f"{row['seconds']:.1f} s, left {clock(left * row['seconds'])}"
        if self.epochs_after:
            times += f", sweep {clock((left + self.epochs_after) * row['seconds'])}"
        return (
            f"{self.title}  epoch {row['epoch']} of {epochs}  "
            f"train loss {row['train/loss']:.4f} dice {row['train/dice']:.3f}  "
            f"val loss {row['val/loss']:.4f} dice {row['val/dice']:.3f} "
            f"(best {best['val/dice']:.3f} in epoch {best['epoch']})  {times}"
        )


class LogPanel(L.Callback):
    """A fixed panel of train and of val slices in TensorBoard, truth and prediction over it.

    Colours as in `brainseg.figures.overlay`: red missed, green false alarm, yellow hit. The slices
    are those with the most tumour of patients spread over the split. Of several regions each has
    a panel.

    Args:
        slices: how many of each split.
        every: epochs between two panels; the last epoch always has one.
    """

    def __init__(self, slices: int = 6, every: int = 5) -> None:
        self.slices, self.every = slices, every
        self._fixed: dict[str, dict[str, Tensor]] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Choose and load the slices."""
        data: SegmentationDataModule = trainer.datamodule  # type: ignore[attr-defined]
        modalities = data.scans.modalities
        self._channel = modalities.index("flair") if "flair" in modalities else 0
        self._fixed = {split: self._examples(data, split) for split in ("train", "val")}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw them."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every and epoch != trainer.max_epochs:
            return
        assert isinstance(pl_module, SegmentationModule)
        assert isinstance(trainer.logger, TensorBoardLogger)
        for split, batch in self._fixed.items():
            with trainer.precision_plugin.forward_context():
                pictures = self._draw(pl_module, batch)
            for name, picture in zip(pl_module.regions, pictures, strict=True):
                tag = f"{split}/panel" + (f"/{name}" if len(pictures) > 1 else "")
                trainer.logger.experiment.add_image(tag, picture, epoch, dataformats="HWC")

    def _examples(self, data: SegmentationDataModule, split: str) -> dict[str, Tensor]:
        rows = getattr(data.split, split)
        index = data.scans.index.iloc[rows]
        largest = index.reset_index(drop=True).groupby("patient")["tumour"].idxmax().to_numpy()
        spread = np.linspace(0, len(largest) - 1, min(self.slices, len(largest))).round()
        chosen = rows[largest[spread.astype(int)]]
        slices = SliceDataset(data.scans, chosen, patient=data.patient)
        return scaled(default_collate([slices[k] for k in range(len(chosen))]))

    @torch.no_grad()
    def _draw(self, module: SegmentationModule, batch: dict[str, Tensor]) -> list[np.ndarray]:
        # on_validation_end comes before the module is back in train mode
        logits = module(batch["image"].to(module.device))
        preds = (logits > THRESHOLD).cpu().numpy()
        targets = batch["mask"].bool().numpy()
        images = batch["image"][:, self._channel].numpy()
        return [panel(images, targets[:, k], preds[:, k]) for k in range(preds.shape[1])]
