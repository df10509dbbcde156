"""The training loops that are compared: the plain one, and ours."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.inputs import device, trainer
from benchmarks.timing import now, timed
from brainseg.hardware import keep_freed_memory
from brainseg.losses import bce_dice_loss
from brainseg.module import Batch, SegmentationModule


class PlainLoop:
    """The loop of a tutorial: float32, NCHW, eager, Adam; a turn returns slices per second.

    Args:
        net: images to logits.
        batch: trained on again and again.
        steps: in a turn.
        loss: logits and masks to a scalar.
        tf32: whether a GPU may use TF32.
    """

    def __init__(
        self,
        net: nn.Module,
        batch: Batch,
        *,
        steps: int,
        loss: Callable[[Tensor, Tensor], Tensor] = bce_dice_loss,
        tf32: bool = False,
    ) -> None:
        self.net = net.to(device()).to(memory_format=torch.contiguous_format).train()
        self.optimizer = torch.optim.Adam(net.parameters(), lr=3e-4)
        self.loss = loss
        self.batch, self.steps, self.tf32 = batch, steps, tf32

    def __call__(self) -> float:
        """Train and measure."""
        with matmul(tf32=self.tf32), timed() as watch:
            for _ in range(self.steps):
                self._step()
        return self.steps * len(self.batch["image"]) / watch.seconds

    def _step(self) -> None:
        self.optimizer.zero_grad()
        loss = self.loss(self.net(self.batch["image"]), self.batch["mask"])
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


class OurLoop:
    """Lightning's trainer on the module, as in a run; a turn returns slices per second.

    The first steps of a turn, `warm_up()` of them, are not timed: they make the optimizer's state,
    start workers and record CUDA graphs.

    Args:
        config: a resolved configuration.
        module: to train.
        batches: what to train on, a batch a step; `warm_up()` more than `steps`.
        steps: that are timed in a turn.
    """

    def __init__(
        self,
        config: dict[str, Any],
        module: SegmentationModule,
        batches: DataLoader[Any],
        *,
        steps: int,
    ) -> None:
        self.config, self.module, self.batches, self.steps = config, module, batches, steps

    def __call__(self) -> float:
        """Train and measure."""
        clock = _Clock(self.steps)
        keep_freed_memory()
        with matmul(tf32=True):
            own = trainer(self.config, clock, batches=warm_up() + self.steps)
            with warnings.catch_warnings(action="ignore"):  # Lightning's advice
                own.fit(self.module, self.batches)
        return self.steps * int(self.config["batch_size"]) / clock.seconds


def repeat(batch: Batch, steps: int) -> DataLoader[Any]:
    """A loader of one ready batch, for `OurLoop`."""
    return DataLoader([batch] * (warm_up() + steps), batch_size=None)  # type: ignore[arg-type]


def warm_up() -> int:
    """Steps of ours that are not timed."""
    return 10 if torch.cuda.is_available() else 1


@contextmanager
def matmul(*, tf32: bool) -> Iterator[None]:
    """Allow a GPU TF32 in convolutions and matrix products, or not; cuDNN allows it by default."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


class _Clock(L.Callback):
    """Seconds from the end of the warm-up to the end of the last step."""

    def __init__(self, steps: int) -> None:
        self.first = warm_up() - 1
        self.last = self.first + steps
        self.seconds = float("nan")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, k: int
    ) -> None:
        if k == self.first:
            self.start = now()
        if k == self.last:
            self.seconds = now() - self.start
