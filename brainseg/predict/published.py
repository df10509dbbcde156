"""Weights in the form in which they are given away: `model.safetensors` and `model.json`.

Neither can run code: the network is named by options of this package's own `conf/`, and built by
it. The checksum is verified at every load.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from brainseg.config import CONF, compose, instantiate
from brainseg.data.preprocessing import Preprocessing
from brainseg.files import write_whole
from brainseg.runs.checkpoint import load_checkpoint
from brainseg.runs.folder import BEST, RunFolder

FORMAT = 1
TENSORS, CARD = "model.safetensors", "model.json"
USE = "research only, not a medical device"


def is_published(folder: Path) -> bool:
    """Whether a folder has the published form."""
    return (folder / CARD).is_file()


def publish(run: Path, folder: Path, *, licence: str) -> dict[str, Any]:
    """Write a finished run's best checkpoint in the published form.

    Args:
        run: a run folder.
        folder: new, or empty.
        licence: of the weights, which is printed when they are loaded.

    Returns:
        What `model.json` holds.

    Raises:
        ValueError: the run is not finished, or the folder is not empty.
    """
    done = RunFolder(run)
    metrics, config = done.required_metrics, load_checkpoint(run / BEST)["config"]
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--out {folder} is not an empty folder; give a new one")
    checkpoint = load_checkpoint(run / BEST)
    folder.mkdir(parents=True, exist_ok=True)
    prefix = "net."
    tensors = {
        name.removeprefix(prefix): value.contiguous()
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
    save_file(tensors, folder / TENSORS)
    (folder / TENSORS).chmod(0o644)  # safetensors writes for the owner alone
    options = {"model": done.choices.get("model", "unet"), "norm": done.choices["norm"]}
    card = {
        "format": FORMAT,
        "options": options,
        "network": _plain(config["model"]["net"], "norm"),
        "norm": _plain(config["norm"]),
        "channels": list(instantiate(config["data"]["reader"]).modalities),
        "regions": ["tumour"],
        "preprocessing": checkpoint["preprocessing"],
        "threshold": 0.5,
        "scores": metrics["scores"]["best"],
        "training_patients": [_checksum(name) for name in metrics["split"]["members"]["train"]],
        "recipe": {**done.choices, "epochs": config["epochs"], "seed": config["seed"]},
        "command": metrics["command"],
        "git": metrics["git"],
        "date": metrics["date"],
        "use": USE,
        "licence": licence,
        "sha256": _digest(folder / TENSORS),
    }
    write_whole(folder / CARD, json.dumps(card, indent=1))
    return card


def load_published(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in eval mode on the CPU, and its card.

    Raises:
        ValueError: a file is missing, broken, or not the one that the card was written for.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise ValueError(f"format {card['format']}, this brainseg reads {FORMAT}")
        if _digest(folder / TENSORS) != card["sha256"]:
            raise ValueError(f"{TENSORS} is not the file that it was written for")
        Preprocessing.from_state(card["preprocessing"])
        net = _network(card)
        net.load_state_dict(load_file(folder / TENSORS))
        card["channels"] = list(map(str, card["channels"]))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{folder / CARD} cannot be used ({why}); get the weights again"
        ) from error
    return net.eval(), card


def _network(card: dict[str, Any]) -> nn.Module:
    for group, option in card["options"].items():
        if option not in {path.stem for path in (CONF / str(group)).glob("*.yaml")}:
            raise ValueError(f"{group}={option} is no option of this brainseg")
    cfg = compose([f"{group}={option}" for group, option in card["options"].items()])
    for node, values in ((cfg.model.net, card["network"]), (cfg.norm, card["norm"])):
        node.update(_plain(values))
    channels = len(card["preprocessing"]["channels"])
    net: nn.Module = instantiate(cfg.model.net, in_channels=channels, norm=instantiate(cfg.norm))
    return net


def _plain(node: dict[str, Any], *without: str) -> dict[str, Any]:
    """Numbers and words of a node; refuses whatever could name code."""
    plain = {k: v for k, v in node.items() if not k.startswith("_") and k not in without}
    for key, value in plain.items():
        if not isinstance(value, int | float | str | bool) or "${" in str(value):
            raise ValueError(f"{key}={value} must be a number or a word")
    return plain


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(patient: str) -> str:
    return hashlib.sha256(patient.encode()).hexdigest()
