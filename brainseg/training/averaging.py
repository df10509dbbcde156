"""An average of the weights, which is what is scored and kept."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging


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

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Take the step into the average; counters, such as batch norm's, are copied."""
        if trainer.global_step <= self._latest_update_step:
            return
        self._latest_update_step = step = trainer.global_step
        keep = min(self.decay, step / (step + 9))
        assert self._average_model is not None
        average, current = self._average_model.module.state_dict(), pl_module.state_dict()
        moved = [key for key, value in current.items() if value.is_floating_point()]
        torch._foreach_lerp_([average[k] for k in moved], [current[k] for k in moved], 1 - keep)
        for key in current.keys() - set(moved):
            average[key].copy_(current[key])
