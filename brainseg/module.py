"""The LightningModule: a network, a loss, and the scores by patient of every epoch."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric

from brainseg.data.dataset import scaled
from brainseg.metrics import PatientScores

Batch = dict[str, Tensor]
THRESHOLD = 0.0  # on logits: a probability of one half


class SegmentationModule(L.LightningModule):
    """Trains `net` with `loss` and scores every epoch by patient.

    A batch is `{"image": [B, C, H, W], "mask": [B, K, H, W] in {0, 1}, "patient": [B]}`, float32,
    or bytes as the data module's loaders have them, which are scaled on the device.
    Logs `train/` and `val/` loss, dice, iou, precision, recall and accuracy once an epoch; the
    train scores are those of the augmented slices while the weights still move. Of several regions
    these are means over them, and `val/dice_REGION` stands beside.

    Args:
        net: images [B, C, H, W] to logits [B, K, H, W].
        loss: logits and masks to a scalar.
        optimizer: parameters to an optimizer.
        scheduler: (optimizer, epochs, steps) to Lightning's schedule dictionary.
        patients: how many patients there are; `batch["patient"]` is below it.
        regions: names of the masks' channels.

    Attributes:
        config: the run's resolved configuration, carried by every checkpoint so that a lone file
            is enough to predict.
        preprocessing: what its slices went through (`data.preprocessing.Preprocessing.state`),
            likewise.
    """

    config: dict[str, Any] | None = None
    preprocessing: dict[str, Any] | None = None

    def __init__(
        self,
        net: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        *,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        patients: int = 0,
        regions: Sequence[str] = ("tumour",),
    ) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.loss = loss
        self.optimizer, self.scheduler = optimizer, scheduler
        self._score(patients, regions)
        # any other nan_strategy waits for the device
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_loss = MeanMetric(nan_strategy="disable")
        for mean in (self.train_loss, self.val_loss):
            mean.set_dtype(torch.float64)
        self.bad_step = torch.tensor(-1)  # no buffer: averaged weights take all of those

    def setup(self, stage: str) -> None:
        """Take patients and regions from the trainer's data module, where none were given."""
        data = getattr(self.trainer, "datamodule", None)
        if not len(self.train_scores.counts):
            scans = getattr(data, "scans", None)
            self._score(len(getattr(data, "patients", ())), getattr(scans, "regions", self.regions))

    def forward(self, image: Tensor) -> Tensor:
        """Images [B, C, H, W] to logits [B, K, H, W]."""
        logits: Tensor = self.net(image.to(memory_format=torch.channels_last))
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch; a loss that is not finite is remembered without a GPU sync."""
        loss = self._step(batch, self.train_loss, self.train_scores)
        fresh = ~loss.detach().isfinite() & (self.bad_step < 0)
        self.bad_step = torch.where(fresh, batch_idx, self.bad_step)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch."""
        self._step(batch, self.val_loss, self.val_scores)

    def on_train_start(self) -> None:
        """Remember a bad step where the loss is, so that nothing waits for the device."""
        self.bad_step = torch.full((), -1, device=self.device)

    def on_train_epoch_start(self) -> None:
        """Seed dropout by (seed, epoch): a resumed epoch draws what it would have drawn."""
        seed = self.config["seed"] if self.config else 0
        torch.manual_seed((seed << 32) + self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Stop on a loss or on gradients that were not finite, before a checkpoint is written.

        Raises:
            FloatingPointError: names the epoch and, for a loss, the step.
        """
        step = int(self.bad_step)
        if step >= 0:
            raise FloatingPointError(
                f"the loss was not finite in epoch {self.current_epoch + 1}, step {step + 1}; "
                "the checkpoints of the epochs before are kept; lower optimizer.lr, or set "
                "trainer.precision=32-true"
            )
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and scaler.get_scale() < 1:  # halved at each step that it skipped
            raise FloatingPointError(
                f"float16 gradients were not finite in step after step of epoch "
                f"{self.current_epoch + 1}, so nothing is learnt; set trainer.precision=32-true "
                "or bf16-mixed, or lower optimizer.lr"
            )

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the epoch, then step a plateau schedule on them.

        Raises:
            FloatingPointError: a mean loss is not finite.
        """
        if self.trainer.sanity_checking:
            return
        self._log_epoch("train", self.train_loss, self.train_scores)
        dice = self._log_epoch("val", self.val_loss, self.val_scores)
        if isinstance(schedule := self.lr_schedulers(), ReduceLROnPlateau):
            schedule.step(float(dice))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer over all weights, and its schedule; `max_steps` alone are one epoch.

        Raises:
            ValueError: the trainer has no end.
        """
        assert self.optimizer is not None
        assert self.scheduler is not None
        optimizer = self.optimizer(self.net.parameters())
        epochs = max(self.trainer.max_epochs or 1, 1)
        total = self.trainer.estimated_stepping_batches
        if not math.isfinite(total):
            raise ValueError(f"max_epochs={self.trainer.max_epochs} has no end; set max_epochs=50")
        steps = math.ceil(total / epochs)
        schedule = self.scheduler(optimizer, epochs=epochs, steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put configuration and preprocessing into the checkpoint."""
        checkpoint["config"] = self.config
        checkpoint["preprocessing"] = self.preprocessing

    def _score(self, patients: int, regions: Sequence[str]) -> None:
        self.regions = tuple(regions)
        self.train_scores = PatientScores(patients, len(regions))
        self.val_scores = PatientScores(patients, len(regions))

    def _step(self, batch: Batch, mean_loss: MeanMetric, scores: PatientScores) -> Tensor:
        batch = scaled(batch)  # where a loader is trained on without its data module
        logits = self(batch["image"])
        loss = self.loss(logits, batch["mask"])
        # every slice counts once, in a smaller last batch too; a weight waits for the device, and
        # torchmetrics 1.9 ignores it with this nan_strategy
        mean_loss.update(loss.detach().expand(len(logits)))
        scores.update(logits.detach() > THRESHOLD, batch["mask"], batch["patient"])
        return loss

    def _log_epoch(self, split: str, mean_loss: MeanMetric, scores: PatientScores) -> Tensor:
        values = {"loss": mean_loss.compute(), **scores.compute()}
        if split == "val" and len(self.regions) > 1:
            by_region = scores.by_region("dice")
            values |= {f"dice_{name}": by_region[k] for k, name in enumerate(self.regions)}
        if not values["loss"].isfinite():
            raise FloatingPointError(
                f"{split}/loss is {float(values['loss'])} in epoch {self.current_epoch + 1}; the "
                "checkpoints of the epochs before are kept; lower optimizer.lr, or set "
                "trainer.precision=32-true"
            )
        self.log_dict({f"{split}/{name}": value for name, value in values.items()})
        mean_loss.reset()
        scores.reset()
        return values["dice"]
