"""A few steps of a cell, on its real batches and in its real precision, to see what they cost."""

import tempfile
import time
from dataclasses import replace
from math import ceil, prod
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

from brainseg.cost import Cost
from brainseg.data.datamodule import PARTS, SegmentationDataModule
from brainseg.heap import keep_freed_memory
from brainseg.logs import adopt_lightning
from brainseg.module import SegmentationModule
from brainseg.provenance import peak_memory
from brainseg.run import build, build_trainer
from brainseg.score import score

_SECONDS, _LEAST = 3.0, 3  # of measured training, and steps of it
_BATCHES = 4  # of validation and scoring


def measure(config: dict[str, Any]) -> Cost:
    """What a cell costs here; its weights are thrown away and nothing is written.

    Args:
        config: resolved, its hardware too; its data are prepared.

    Raises:
        ValueError: values that do not fit together.
        FloatingPointError: a loss was not finite.
    """
    started = time.perf_counter()
    adopt_lightning()
    torch.set_float32_matmul_precision("high")
    keep_freed_memory()
    data, module = build(config)
    pace = _Pace(warm=1 + 2 * data.workers)
    trainer = _trainer(config, pace, val_batches=1 + _BATCHES + 2 * data.workers)
    trainer.fit(module, data)
    start = pace.train.warmed - started
    own = config["trainer"]
    train = _limited(len(data.train_dataloader()), own["limit_train_batches"])
    val = _limited(len(data.val_dataloader()), own["limit_val_batches"])
    scoring = _scoring(trainer, module, data)
    weights, memory, scans = _bytes(module.state_dict()), peak_memory(), data.scans
    packed = ceil(prod(scans.original_shape) / 8)  # bytes of an original mask
    maps = scans.images.nbytes + scans.masks.nbytes + len(scans.index) * packed
    return Cost(
        epoch=train * pace.train.seconds + val * pace.val.seconds,
        outside=start + scoring,
        parameters=sum(p.numel() for p in module.net.parameters()),
        best=weights,
        last=weights + _bytes(trainer.optimizers[0].state_dict()),
        predictions=len(data.split.test) * packed,
        memory=int(memory["host"] * 2**20) + maps,  # an epoch touches all of the cache
        gpu=int(memory["gpu"] * 2**20),
        gpu_total=_gpu_total(),
    )


def _trainer(config: dict[str, Any], pace: "_Pace", val_batches: int) -> L.Trainer:
    """The trainer of a cell, less what writes, that stops when the pace is known."""
    limit = config["trainer"]["limit_val_batches"]
    few = {"limit_val_batches": val_batches if limit is None else limit}
    config = config | {"callbacks": {}, "trainer": config["trainer"] | few}
    trainer = build_trainer(config, Path(tempfile.gettempdir()), [pace])
    writing = [each for each in trainer.callbacks if isinstance(each, Checkpoint)]  # type: ignore[attr-defined]
    for each in writing:
        trainer.callbacks.remove(each)  # type: ignore[attr-defined]
    trainer.loggers = []
    return trainer


class _Clock:
    """Seconds a batch; the first ones, `warm` of them, are left out where there are more."""

    def __init__(self, warm: int) -> None:
        self.warm, self.batches = warm, 0
        self.begun = self.warmed = self.ended = 0.0

    def start(self) -> None:
        self.begun = self.warmed = _now()

    def count(self) -> None:
        self.batches += 1
        if self.batches == self.warm:
            self.warmed = _now()

    def stop(self) -> None:
        self.ended = _now()

    @property
    def seconds(self) -> float:
        if self.batches > self.warm:
            return (self.ended - self.warmed) / (self.batches - self.warm)
        return (self.ended - self.begun) / max(1, self.batches)


class _Pace(L.Callback):
    """Measures training and validation, and stops once training has been measured long enough."""

    def __init__(self, warm: int) -> None:
        self.train, self.val = _Clock(warm), _Clock(warm)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.train.start()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.train.count()
        long = time.perf_counter() - self.train.warmed >= _SECONDS
        if long and self.train.batches >= self.train.warm + _LEAST:
            trainer.should_stop = True

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = True  # also where the epoch was over before
        self.train.stop()
        self.val.start()

    def on_validation_batch_end(self, *_: Any) -> None:
        self.val.count()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.val.stop()


def _scoring(trainer: L.Trainer, module: SegmentationModule, data: SegmentationDataModule) -> float:
    """Seconds to score best and last on every split, from one batch and from a few more."""
    module.to(trainer.strategy.root_device)
    rows, taken = data.split.train, []
    for batches in (1, 1, 1 + _BATCHES + 2 * data.workers):  # the first warms up
        data.split = replace(data.split, train=rows[: batches * data.batch_size])
        begun = _now()
        score(module, data, "train", forward=trainer.precision_plugin.forward_context())
        taken.append(_now() - begun)
        slices = len(data.split.train)
    data.split = replace(data.split, train=rows)
    more = slices - min(slices, data.batch_size)
    per_slice = max(0.0, taken[2] - taken[1]) / more if more else taken[1] / slices
    splits = sum(len(getattr(data.split, part)) for part in PARTS)
    return 2 * (len(PARTS) * taken[1] + splits * per_slice)


def _limited(batches: int, limit: float | None) -> int:
    """Batches of an epoch under Lightning's `limit_*_batches`: None, a number, or a share."""
    if limit is None:
        return batches
    return int(batches * limit) if isinstance(limit, float) else min(batches, limit)


def _bytes(state: Any) -> int:
    """Bytes of all tensors in a state dictionary."""
    if isinstance(state, torch.Tensor):
        return state.nbytes
    if isinstance(state, dict):
        state = list(state.values())
    return sum(_bytes(each) for each in state) if isinstance(state, list | tuple) else 0


def _now() -> float:
    """The time when the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _gpu_total() -> int:
    available = torch.cuda.is_available()
    return int(torch.cuda.get_device_properties(0).total_memory) if available else 0
