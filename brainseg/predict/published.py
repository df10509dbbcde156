"""Weights in the form in which they are given away: `model.safetensors` and `model.json`.

Neither can run code: the network is named by options of this package's own `conf/`, and built by
it. The checksum is verified at every load. `brainseg.export` writes them.
"""

import hashlib
import json
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from brainseg.config import CONF
from brainseg.data.preprocessing import Preprocessing

FORMAT = 1
TENSORS, CARD, LICENCE = "model.safetensors", "model.json", "LICENSE"
_PROBABILITY = (0.001, 0.999)
RANGES = (
    ("threshold", _PROBABILITY),
    ("threshold_alone", _PROBABILITY),
    ("temperature", (0.01, 100)),
    ("least_part", (0, 1)),
)
OWN = Path(__file__).parent.parent / "weights" / "lgg"  # those that come along


def is_published(folder: Path) -> bool:
    """Whether a folder has the published form."""
    return (folder / CARD).is_file()


def load_published(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in eval mode on the CPU, and its card.

    Raises:
        ValueError: a file is missing, broken, or not the one that the card was written for.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise ValueError(f"format {card['format']}, this brainseg reads {FORMAT}")
        if digest(folder / TENSORS) != card["sha256"]:
            raise ValueError(f"{TENSORS} is not the file that it was written for")
        used = Preprocessing.from_state(card["preprocessing"]).channels
        if not used or not all(isinstance(k, int) and 0 <= k < len(card["channels"]) for k in used):
            raise ValueError(f"channels {list(used)} of {card['channels']}")
        if not card["regions"]:
            raise ValueError("no regions")
        net = _network(card)
        net.load_state_dict(load_file(folder / TENSORS))  # float16 becomes float32
        card["channels"] = list(map(str, card["channels"]))
        card["regions"] = list(map(str, card["regions"]))
        labels = card.get("labels") or {card["regions"][0]: 1}  # none up to revision 56d7aae
        card["labels"] = {str(region): int(label) for region, label in labels.items()}
        if labels.keys() != set(card["regions"]) or not all(0 < n < 256 for n in labels.values()):
            raise ValueError(f"labels {labels} of regions {card['regions']}")
        card.setdefault("threshold_alone", card["threshold"])  # one of both up to revision fe7c09b
        card |= {key: float(card[key]) for key, _ in RANGES} | {"tta": bool(card["tta"])}
        if wrong := [key for key, (low, high) in RANGES if not low <= card[key] <= high]:
            raise ValueError(f"{wrong[0]} {card[wrong[0]]}")
        ranges = card.get("features", {}).items()
        card["features"] = {str(key): (float(low), float(high)) for key, (low, high) in ranges}
        card["licence"] = str(card["licence"])
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
        SafetensorError,
    ) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{folder / CARD} cannot be used ({why}); get the weights again"
        ) from error
    return net.eval().to(memory_format=torch.channels_last), card


def _network(card: dict[str, Any]) -> nn.Module:
    options = {group: str(card["options"][group]) for group in ("model", "norm")}
    for group, option in options.items():
        if option not in {path.stem for path in (CONF / group).glob("*.yaml")}:
            raise ValueError(f"{group}={option} is no option of this brainseg")
    # these files alone: composing the whole configuration takes longer than a slice
    network, norm = (
        cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(CONF / group / f"{own}.yaml")))
        for group, own in options.items()
    )
    network, norm = _with(network["net"], card["network"]), _with(norm, card["norm"])
    network |= {"in_channels": len(card["preprocessing"]["channels"]), "norm": _built(norm)}
    net: nn.Module = _built(network | {"out_channels": len(card["regions"])})
    return net


def _with(own: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What an option's file says, with the values of a card in the place of those of their kind."""
    for key, value in plain(given).items():
        if key in own and isinstance(own[key], str) != isinstance(value, str):
            raise ValueError(f"{key}={value} is none such as {own[key]}")
    return own | plain(given)


def _built(node: dict[str, Any]) -> Any:
    """As Hydra builds what this package's own files describe, without importing it."""
    given = {key: value for key, value in node.items() if not key.startswith("_")}
    module, _, name = node["_target_"].rpartition(".")
    target = getattr(import_module(module), name)
    return partial(target, **given) if node.get("_partial_") else target(**given)


def plain(node: dict[str, Any], *without: str) -> dict[str, Any]:
    """Numbers and words of a node.

    Raises:
        ValueError: a value is anything else, which could name code.
    """
    found = {k: v for k, v in node.items() if not k.startswith("_") and k not in without}
    for key, value in found.items():
        if not isinstance(value, int | float | str | bool) or "${" in str(value):
            raise ValueError(f"{key}={value} must be a number or a word")
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
