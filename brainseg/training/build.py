"""From a configuration, or a checkpoint, to objects: data, module, trainer."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from brainseg import hardware
from brainseg.config import check_types, instantiate
from brainseg.data.datamodule import SegmentationDataModule
from brainseg.loaded import rebuilt, refuse_foreign_targets
from brainseg.module import SegmentationModule
from brainseg.runs.checkpoint import Checkpoint, WholeFileIO, load_checkpoint, load_weights


def build(config: dict[str, Any]) -> tuple[SegmentationDataModule, SegmentationModule]:
    """The data and the module of a configuration; touches the disk for neither weights nor logs.

    Raises:
        ValueError: values that do not fit together; names value, rule and remedy.
    """
    check_types(config)
    data = build_data(config)
    data.setup()
    module = build_module(config, patients=len(data.patients))
    module.preprocessing = data.scans.preprocessing.state()
    return data, module


def build_data(config: dict[str, Any]) -> SegmentationDataModule:
    """The data module of a configuration."""
    accelerator = hardware.resolve(config["trainer"])["accelerator"]
    return SegmentationDataModule(
        instantiate(config["data"]),
        augment=instantiate(config["augment"]),
        split=instantiate(config["split"]),
        sampler=instantiate(config["sampler"]),
        batch_size=config["batch_size"],
        workers=hardware.workers(config["workers"], accelerator),
        pin=accelerator == "gpu",
        seed=config["seed"],
    )


def build_module(config: dict[str, Any], *, patients: int = 0) -> SegmentationModule:
    """The module of a configuration, with the initial weights of its seed.

    Args:
        config: a resolved configuration.
        patients: how many patients its scores tell apart; 0 to predict only.

    Raises:
        ValueError: the images are too small for the depth, or a norm does not fit the width.
    """
    modalities, regions = (_names(config["data"], key) for key in ("modalities", "regions"))
    torch.manual_seed(config["seed"])
    module: SegmentationModule = instantiate(
        config["model"],
        net={"in_channels": len(modalities), "out_channels": len(regions)},
        optimizer=instantiate(config["optimizer"]),
        scheduler=instantiate(config["scheduler"]),
        patients=patients,
        regions=regions,
    )
    module.config = config
    nothing = torch.zeros(1, len(regions), 2, 2)
    module.loss(nothing, nothing)  # refuses its bad arguments now
    size, least = config["data"]["size"], getattr(module.net, "min_size", 1)
    if isinstance(size, int) and size < least:  # a share is known when the scans are read
        raise ValueError(
            f"data.size={size} must be at least {least} for this network; "
            "set a larger data.size or a smaller model.net.depth"
        )
    if config["compile"]:
        module.net.compile()
    return module


def _names(data: dict[str, Any], key: str) -> tuple[str, ...]:
    """The modalities, or the regions, that are chosen."""
    if data.get(key) is None:  # all that the reader has
        return tuple(getattr(rebuilt(data["reader"]), key))
    return tuple(data[key])


def build_trainer(
    config: dict[str, Any], folder: Path, callbacks: list[L.Callback], *, bar: bool = False
) -> L.Trainer:
    """The trainer of a configuration: one device, checkpoints and TensorBoard in `folder`.

    `checkpoints/best.ckpt` (weights only) is the epoch with the highest `val/dice`;
    `checkpoints/last.ckpt` is always the end of the last whole epoch, to resume from.

    Args:
        config: a resolved configuration whose precision is resolved too.
        folder: the run folder.
        callbacks: beside those that the configuration names.
        bar: show a progress bar within the epoch.

    Raises:
        ValueError: gradients are clipped in a way that Lightning cannot.
    """
    own: dict[str, Any] = config["trainer"] | hardware.resolve(config["trainer"])
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # else LOCAL_RANK=1 writes no events
    check_types({"_target_": "lightning.Trainer", **own}, "trainer")
    clips = own["precision"] == "16-mixed" and own.get("gradient_clip_val")
    if clips and config["optimizer"].get("fused"):
        raise ValueError(
            f"trainer.gradient_clip_val={clips} cannot clip in 16-mixed, where a fused optimizer "
            "unscales the gradients itself; set optimizer.fused=false"
        )
    named = [instantiate(node) for node in config["callbacks"].values() if node is not None]
    bars: list[L.Callback] = [TQDMProgressBar(leave=False)] if bar else []
    # shapes are always the same, so that cuDNN can look for its fastest kernels
    own.setdefault("benchmark", own["accelerator"] == "gpu" and not own.get("deterministic"))
    return L.Trainer(
        **own,
        devices=1,
        max_epochs=config["epochs"],
        default_root_dir=folder,
        logger=TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False),
        callbacks=[*callbacks, *named, *bars, *_checkpoints(folder / "checkpoints")],
        enable_progress_bar=bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=50,
        use_distributed_sampler=False,
        # one device, whatever variables SLURM, torchrun or MPI have set
        plugins=[WholeFileIO(), LightningEnvironment()],
    )


def _checkpoints(folder: Path) -> list[L.Callback]:
    # save_last beside a monitor is written on a new best only (Lightning 2.6): hence two.
    best = Checkpoint(
        folder,
        "best",
        monitor="val/dice",
        mode="max",
        enable_version_counter=False,
        auto_insert_metric_name=False,
    )
    last = Checkpoint(folder, "last", save_top_k=1, enable_version_counter=False)
    return [best, last]


def load_module(path: Path) -> SegmentationModule:
    """The trained module of a lone checkpoint file, in eval mode, on the CPU.

    Raises:
        ValueError: its configuration names code outside brainseg, torch.nn and torch.optim.
    """
    checkpoint = load_checkpoint(path)
    config = checkpoint["config"] | {"compile": False}
    refuse_foreign_targets({key: config[key] for key in ("model", "optimizer", "scheduler")})
    if "pretrained" in config["model"]["net"]:  # all its weights are in the file
        net = config["model"]["net"] | {"pretrained": False}
        config["model"] = config["model"] | {"net": net}
    module = build_module(config)
    load_weights(module, checkpoint)
    return module.eval()
