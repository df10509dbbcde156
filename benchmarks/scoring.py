"""Validation and scoring, against the forward pass alone."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from benchmarks.inputs import configure, device, trainer
from benchmarks.interleave import Contender, interleave
from benchmarks.row import Row, at_most
from benchmarks.scale import Case, Scale
from benchmarks.timing import timed
from brainseg.data.datamodule import SegmentationDataModule
from brainseg.data.dataset import scaled
from brainseg.hardware import keep_freed_memory
from brainseg.module import SegmentationModule
from brainseg.training.build import build
from brainseg.training.score import score

Precision = Callable[[], AbstractContextManager[None]]


def rows(scale: Scale) -> Iterator[Row]:
    """A row for validation and one for scoring, of the smallest network: the least to hide in."""
    case = scale.cases[-1]
    forward, *others = _contenders(case).items()
    values = interleave(dict([forward, *others]), scale.rounds, case.seconds)
    for name, _ in others:
        yield Row(
            f"{name}, {case}",
            "forward pass alone",
            "s",
            values[name],
            values[forward[0]],
            at_most(1.15),
        )


def _contenders(case: Case) -> dict[str, Contender]:
    config = configure(case)
    data, module = build(config)
    module.to(device()).eval()
    keep_freed_memory()
    precision = trainer(config).precision_plugin.forward_context
    ready = [scaled(batch)["image"].to(device()) for batch in data.val_dataloader()]
    return {
        "forward": lambda: _forward(module, ready, precision),
        "validation": lambda: _validate(module, data, precision),
        "scoring": lambda: _score(module, data, precision),
    }


@torch.inference_mode()
def _forward(module: SegmentationModule, ready: list[Tensor], precision: Precision) -> float:
    with timed() as watch, precision():
        for image in ready:
            module(image)
    return watch.seconds


@torch.inference_mode()
def _validate(
    module: SegmentationModule, data: SegmentationDataModule, precision: Precision
) -> float:
    with timed() as watch, precision():
        for k, batch in enumerate(data.val_dataloader()):
            on_device = {key: value.to(device()) for key, value in batch.items()}
            module.validation_step(scaled(on_device), k)
    return watch.seconds


def _score(module: SegmentationModule, data: SegmentationDataModule, precision: Precision) -> float:
    with timed() as watch:
        score(module, data, "val", forward=precision())
    return watch.seconds
