"""An average of the weights, which is what is scored and kept."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class Averaging(WeightAveraging):
    """Exponential moving average of the weights, warmed up so that short trainings have one too.

    After n steps the average keeps `min(decay, (n + 1) / (n + 10))` of what it was. Lightning's
    `EMAWeightAveraging` begins with the full decay, and asks the card for a counter at every step.

    Args:
        decay: what the average keeps of itself a step, 0 to below 1.

    Raises:
        ValueError: `decay` is none of these.
    """

    def __init__(self, decay: float = 0.995) -> None:
        if not 0 <= decay < 1:
            raise ValueError(
                f"callbacks.average.decay={decay} must be 0 or more and below 1; set it to 0.995"
            )
        super().__init__()
        self.decay = decay
        self._moved: tuple[list[Tensor], list[Tensor]] = ([], [])
        self._copied: list[tuple[Tensor, Tensor]] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Begin with a copy of the weights."""
        super().setup(trainer, pl_module, stage)
        self._moved, self._copied = ([], []), []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Take the step into the average; counters, such as batch norm's, are copied."""
        if trainer.global_step <= self._latest_update_step:
            return
        self._latest_update_step = step = trainer.global_step
        if not self._moved[0]:  # where they lie on the device is known by now
            self._find(pl_module)
        keep = min(self.decay, step / (step + 9))
        torch._foreach_lerp_(*self._moved, 1 - keep)
        for average, current in self._copied:
            average.copy_(current)

    def _find(self, module: L.LightningModule) -> None:
        assert self._average_model is not None
        average, current = self._average_model.module.state_dict(), module.state_dict()
        pairs = [(average[key], value) for key, value in current.items()]
        floats = [pair for pair in pairs if pair[1].is_floating_point()]
        self._moved = ([a for a, _ in floats], [c for _, c in floats])
        self._copied = [pair for pair in pairs if not pair[1].is_floating_point()]
