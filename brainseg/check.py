"""Values that no training can run with, refused before anything is made."""

import math
from collections.abc import Mapping
from typing import Any

# Trainer options that brainseg sets itself, and what to do instead.
_OURS = {
    "devices": "a cell trains on one device; choose the card with CUDA_VISIBLE_DEVICES=N",
    "num_nodes": "a cell trains on one device of one machine",
    "strategy": "a cell trains on one device",
    "max_epochs": "set epochs=N",
    "callbacks": "set callbacks.NAME=...",
    "plugins": "brainseg sets its own",
    "logger": "brainseg writes TensorBoard and history.csv",
    "default_root_dir": "set name=... or hydra.run.dir=...",
}


def check(config: Mapping[str, Any]) -> None:
    """Refuse values that no training can run with, before anything is made.

    Raises:
        ValueError: names the value, the rule and the remedy.
    """
    for key in ("epochs", "batch_size"):
        _require(config, key, _is_whole(config[key]) and config[key] >= 1, "a whole number >= 1")
    seed = config["seed"]
    _require(config, "seed", _is_whole(seed) and 0 <= seed < 2**32, "a whole number >= 0")
    workers = config["workers"]
    good = workers == "auto" or (_is_whole(workers) and workers >= 0)
    _require(config, "workers", good, "auto or a whole number >= 0")
    for key in ("compile", "plan", "report", "force"):
        _require(config, key, isinstance(config[key], bool), "true or false")
    limit = config["limit"]
    good = limit is None or _is_positive(limit)
    _require(config, "limit", good, "null or a number of hours > 0")
    question = config["question"]
    _require(config, "question", question is None or isinstance(question, str), "null or words")
    rate = config["optimizer"]["lr"]
    if not _is_positive(rate):
        raise ValueError(f"optimizer.lr={rate} must be a number > 0; set optimizer.lr=1e-3")
    for key in _OURS:
        if key in config["trainer"]:
            raise ValueError(
                f"trainer.{key}={config['trainer'][key]} must be left out: {_OURS[key]}"
            )
    check_name(config["name"])


def check_name(name: object) -> None:
    """Refuse a name that is no single folder; None leaves it to the experiment or the date.

    Raises:
        ValueError: names the rule and the remedy.
    """
    plain = isinstance(name, str | int) and name != "" and not str(name).startswith(".")
    if name is not None and (not plain or set(str(name)) & set("/\\=,")):
        raise ValueError(f"name={name} must be a plain folder name; try name=paper")


def _require(config: Mapping[str, Any], key: str, good: bool, rule: str) -> None:
    if not good:
        raise ValueError(f"{key}={config[key]} must be {rule}; set {key}=... to one")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
