"""A callback that writes down when a run has done its first training step."""

import time
from pathlib import Path
from typing import Any

import lightning as L


class Stamp(L.Callback):
    """Appends a line with the time, in seconds since 1970, at the end of the first step.

    Given on the command line by `+callbacks.stamp._target_=benchmarks.stamp.Stamp`.

    Args:
        path: the file; the cells of a sweep share it.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, k: int
    ) -> None:
        """Write the line."""
        if trainer.global_step == 1:
            with self.path.open("a") as file:
                file.write(f"{time.time()}\n")
