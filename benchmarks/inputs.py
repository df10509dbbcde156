"""Configurations, ready batches and trainers of what is measured."""

import logging
import os
from typing import Any

import lightning as L
import torch
from omegaconf import OmegaConf

from benchmarks.scale import Case
from brainseg.config import compose
from brainseg.hardware import resolve
from brainseg.module import Batch

WITH_DEPTH = ("unet", "attention_unet", "resunet")  # an encoder of torchvision has its own


def configure(case: Case) -> dict[str, Any]:
    """The resolved configuration, on LGG where `BRAINSEG_DATA` says where, else on phantoms."""
    words = [f"model={case.model}", f"model.net.width={case.width}"]
    if case.model in WITH_DEPTH:
        words.append(f"model.net.depth={case.depth}")
    words += [f"batch_size={case.batch}", f"data.size={case.size}"]
    words += data_words(case.patients, case.size)
    config = OmegaConf.to_container(compose(words), resolve=True)
    assert isinstance(config, dict)
    trainer = config["trainer"] | resolve(config["trainer"])
    return {str(key): value for key, value in config.items()} | {"trainer": trainer}


def ready_batch(case: Case) -> Batch:
    """A ready batch of noise on the device that trains."""
    config, generator = configure(case), torch.Generator().manual_seed(0)
    B, C = config["batch_size"], len(config["data"]["modalities"])
    shape = (case.size, case.size)
    batch = {
        "image": torch.randn(B, C, *shape, generator=generator),
        "mask": (torch.rand(B, 1, *shape, generator=generator) > 0.98).float(),
        "patient": torch.zeros(B, dtype=torch.int64),
    }
    return {key: value.to(device()) for key, value in batch.items()}


def data_words(patients: int, size: int) -> list[str]:
    """Overrides that choose the data: `BRAINSEG_DATA`, or phantoms drawn at `size`."""
    if os.environ.get("BRAINSEG_DATA"):
        return ["data=lgg"]
    return ["data=phantom", f"data.reader.patients={patients}", f"data.reader.size={size}"]


def device() -> torch.device:
    """Where training runs on this machine."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_fast_bf16(config: dict[str, Any]) -> bool:
    """Whether this is a CPU that trains in bf16, which the targets of a step are for."""
    own: dict[str, str] = config["trainer"]
    return own["accelerator"] == "cpu" and own["precision"] == "bf16-mixed"


def trainer(config: dict[str, Any], *callbacks: L.Callback, batches: int = 0) -> L.Trainer:
    """A trainer as `training.build.build_trainer` makes it, for a few batches; writes nothing."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    limits = {"limit_train_batches": batches, "limit_val_batches": 0}
    return L.Trainer(
        **(config["trainer"] | limits),
        devices=1,
        max_epochs=1,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
