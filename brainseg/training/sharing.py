"""A training that leaves the cores to others between its turns."""

from typing import Any

import lightning as L
import torch

from brainseg.cores import SharedCores


class ShareCores(L.Callback):
    """Hold the cores while batches are trained on or validated (`cores.SharedCores`).

    Args:
        accelerator: `cpu`; beside a GPU nobody waits.
    """

    def __init__(self, accelerator: str) -> None:
        self._computes = accelerator == "cpu"
        self.cores = SharedCores(0)

    def begin(self) -> None:
        """Take note of how many threads torch has, once that is set."""
        self.cores = SharedCores(torch.get_num_threads() if self._computes else 0)

    def on_train_batch_start(self, *_: Any) -> None:
        """Take the cores."""
        self.cores.take()

    def on_validation_batch_start(self, *_: Any) -> None:
        """Take the cores."""
        self.cores.take()

    def on_validation_end(self, *_: Any) -> None:
        """Give them while files are written."""
        self.cores.give()

    def on_train_end(self, *_: Any) -> None:
        """Give them while checkpoints are read."""
        self.cores.give()

    def on_exception(self, *_: Any) -> None:
        """Give them."""
        self.cores.give()
