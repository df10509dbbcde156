"""Values that no training can run with: refused in one line before anything is made."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import yaml

from brainseg.config import CONF

_NEEDED = {"trainer": ("accelerator", "precision"), "callbacks": ()}  # of others, a _target_
SCORES = ("loss", "dice", "iou", "precision", "recall", "accuracy")  # of an epoch
_LONGEST_NAME = 200  # of the 255 that a file system allows: locks are named after a folder

# Values of others that are taken without a word and then ruin a run; where the key is there.
_RANGES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("norm.momentum", lambda value: 0 < value <= 1, "above 0 and at most 1"),
    ("norm.eps", lambda value: 0 < value < math.inf, "a number > 0"),
    ("optimizer.weight_decay", lambda value: 0 <= value < math.inf, "0 or more"),
    ("optimizer.momentum", lambda value: 0 <= value < 1, "0 or more and below 1"),
    ("scheduler.patience", lambda value: value >= 0, "0 or more epochs"),
    ("scheduler.factor", lambda value: 0 < value < 1, "above 0 and below 1"),
    ("scheduler.warmup", lambda value: value >= 0, "0 or more"),
    ("scheduler.decay", lambda value: 0 < value <= 1, "above 0 and at most 1"),
    ("callbacks.early_stopping.patience", lambda value: value >= 1, "1 epoch or more"),
    ("callbacks.panel.slices", lambda value: value >= 1, "1 or more"),
    ("callbacks.panel.every", lambda value: value >= 1, "1 epoch or more"),
)

# Trainer options that brainseg sets itself, or cannot do without, and what to do instead.
_SET_BY_BRAINSEG = {
    key: remedy
    for keys, remedy in (
        (
            "devices num_nodes strategy use_distributed_sampler",
            "a cell trains on one device; choose the card with CUDA_VISIBLE_DEVICES=N",
        ),
        ("max_epochs min_epochs max_steps min_steps", "set epochs=N"),
        ("max_time", "set limit=HOURS"),
        ("fast_dev_run overfit_batches", "use trainer=debug"),
        (
            "check_val_every_n_epoch val_check_interval num_sanity_val_steps",
            "every epoch is scored, once",
        ),
        ("callbacks", "set callbacks.NAME=..."),
        ("logger log_every_n_steps", "brainseg writes TensorBoard and history.csv"),
        ("default_root_dir", "set name=... or hydra.run.dir=..."),
        (
            "barebones enable_checkpointing enable_model_summary enable_progress_bar plugins "
            "reload_dataloaders_every_n_epochs",
            "brainseg sets it itself",
        ),
    )
    for key in keys.split()
}


def check(config: Mapping[str, Any]) -> None:
    """Refuse values that no training can run with, before anything is made.

    Raises:
        ValueError: names the value, the rule and the remedy.
    """
    _check_keys(config)
    for key in ("epochs", "batch_size"):
        _require(config, key, _is_whole(config[key]) and config[key] >= 1, "a whole number >= 1")
    seed = config["seed"]
    _require(config, "seed", _is_whole(seed) and 0 <= seed < 2**32, "a whole number >= 0")
    workers = config["workers"]
    good = workers == "auto" or (_is_whole(workers) and workers >= 0)
    _require(config, "workers", good, "auto or a whole number >= 0")
    for key in ("compile", "plan", "report", "force"):
        _require(config, key, isinstance(config[key], bool), "true or false")
    jobs = config["jobs"]
    good = jobs == "auto" or (_is_whole(jobs) and jobs >= 1)
    _require(config, "jobs", good, "auto or a whole number >= 1")
    limit = config["limit"]
    good = limit is None or _is_positive(limit)
    _require(config, "limit", good, "null or a number of hours > 0")
    question = config["question"]
    _require(config, "question", question is None or isinstance(question, str), "null or words")
    rate = config["optimizer"].get("lr")
    if not _is_positive(rate):
        raise ValueError(f"optimizer.lr={rate} must be a number > 0; set optimizer.lr=1e-3")
    for key in _SET_BY_BRAINSEG:
        if key in config["trainer"]:
            raise ValueError(
                f"trainer.{key}={config['trainer'][key]} must be left out: {_SET_BY_BRAINSEG[key]}"
            )
    for part in ("train", "val"):
        share = config["trainer"].get(f"limit_{part}_batches")
        good = _is_positive(share) and (_is_whole(share) or share <= 1)
        if share is not None and not good:
            raise ValueError(
                f"trainer.limit_{part}_batches={share} must be a whole number of batches, or a "
                "share above 0 up to 1.0; leave it out for all"
            )
    for key, good, rule in _RANGES:
        value: Any = config
        for word in key.split("."):
            value = value.get(word) if isinstance(value, Mapping) else None
        if value is not None and not (_is_number(value) and good(value)):
            raise ValueError(f"{key}={value!r} must be {rule}; set {key}=... to one")
    _check_stopping(config["callbacks"].get("early_stopping") or {})
    check_name(config["name"])


def _check_stopping(node: Mapping[str, Any]) -> None:
    """Refuse to stop by a score that no epoch has, or at its worst."""
    monitor, mode = str(node.get("monitor", "val/dice")), node.get("mode", "max")
    part, _, score = monitor.partition("/")
    if part not in ("train", "val") or score.partition("_")[0] not in SCORES:
        raise ValueError(
            f"callbacks.early_stopping.monitor={monitor} must be a score of an epoch, such as "
            f"val/dice; {', '.join(SCORES)} are there for train and val"
        )
    if mode != (good := "min" if score == "loss" else "max"):
        raise ValueError(
            f"callbacks.early_stopping.mode={mode} must be {good} for {monitor}; "
            f"set callbacks.early_stopping.mode={good}"
        )


def _check_keys(config: Mapping[str, Any]) -> None:
    """Refuse groups that are left out (`~group`) and keys that nothing reads (`+key`)."""
    groups, known = _keys()
    if lacking := [name for name in groups if name not in config]:
        raise ValueError(
            f"~{lacking[0]} leaves out what every run needs; give {lacking[0]}=OPTION, as of --help"
        )
    for group in groups:
        needed = _NEEDED.get(group, ("_target_",))
        node = config[group] if isinstance(config[group], Mapping) else {}
        if absent := [key for key in needed if key not in node]:
            raise ValueError(
                f"{group}={config[group]} has no {absent[0]}; give {group}=OPTION, as of --help"
            )
    for name, node in config["callbacks"].items():
        if node is not None and not (isinstance(node, Mapping) and "_target_" in node):
            raise ValueError(
                f"callbacks.{name}={node!r} must be null or have a _target_; give "
                "callbacks=OPTION, as of --help"
            )
    if unknown := [key for key in config if key not in known]:
        raise ValueError(
            f"{unknown[0]}={config[unknown[0]]} is read by nothing; leave it out, or correct its "
            "name (--help lists them)"
        )


@cache
def _keys() -> tuple[list[str], set[str]]:
    """The groups that `conf/train.yaml` names, and all its keys."""
    content = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))
    named = [name for entry in content.pop("defaults") if entry != "_self_" for name in entry]
    groups = [name for name in named if " " not in name and name != "experiment"]
    return groups, {*groups, *content}


def check_name(name: object) -> None:
    """Refuse a name that is no single folder; None leaves it to the experiment or the date.

    Raises:
        ValueError: names the rule and the remedy.
    """
    plain = isinstance(name, str | int) and name != "" and not str(name).startswith(".")
    if name is not None and (not plain or set(str(name)) & set("/\\=,")):
        raise ValueError(f"name={name} must be a plain folder name; try name=paper")
    if len(str(name).encode()) > _LONGEST_NAME:
        short = f"{str(name)[:20]}..."
        raise ValueError(f"name={short} must have at most {_LONGEST_NAME} bytes; try name=paper")


def _require(config: Mapping[str, Any], key: str, good: bool, rule: str) -> None:
    if not good:
        raise ValueError(f"{key}={config[key]!r} must be {rule}; set {key}=... to one")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return _is_number(value) and 0 < value < math.inf  # type: ignore[operator]
