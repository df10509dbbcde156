"""The configuration: where it lies, how it is composed, how its objects are made."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

_PACKAGE = Path(__file__).resolve().parent

# In a wheel conf/ lies inside the package; in a checkout beside it.
CONF = next(path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir())

# What a loaded configuration may build, by where it is defined. Not all of brainseg.data: its
# store writes. Of torch, classes alone: its functions set global hooks.
_READS = tuple(f"brainseg.data.{name}" for name in ("cache", "lgg", "phantom", "split"))
_OURS = (*_READS, *(f"brainseg.{name}" for name in ("models", "losses", "schedules", "module")))
_CLASSES = (*_OURS, "torch.nn.modules", "torch.optim")
_FUNCTIONS = (*_OURS, "torch.nn.functional")
_NAMED = (*_OURS, "torch.nn", "torch.optim")


def compose(overrides: list[str]) -> DictConfig:
    """The configuration that `python -m brainseg.train OVERRIDES` would train with.

    Raises:
        hydra.errors.HydraException: an override names an unknown key or option.
    """
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("train", overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        OmegaConf.set_struct(cfg, False)
        cfg.pop("hydra")
        return cfg


def instantiate(node: Any, **kwargs: Any) -> Any:
    """The object that a configuration node describes, made from plain Python containers.

    Raises:
        Exception: whatever the constructor raised, without Hydra's wrapping.
    """
    try:
        return hydra.utils.instantiate(node, _convert_="all", **kwargs)
    except InstantiationException as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise


def refuse_foreign_targets(config: dict[str, Any]) -> None:
    """Check a configuration that came with a file: it may build no code but ours and torch's.

    `weights_only=True` protects against code inside a checkpoint; without this check its
    configuration could still name any importable callable. What counts is the class or function
    that is found, not how it is spelled: `brainseg.config.Path` is not ours. Interpolations are
    refused, since they could put a `_target_` together after this check.

    Raises:
        ValueError: a `_target_` is no class or function of brainseg's models, losses, schedules,
            module and data or of torch.nn and torch.optim; or a text holds an interpolation.
    """
    for key, text in _texts(config):
        if key == "_target_" and not _may_be_built(text):
            raise ValueError(
                f"_target_={text} is not allowed in a loaded configuration; only classes and "
                "functions defined in brainseg's models, losses, schedules, module and data, in "
                "torch.nn and torch.optim are; rebuild the module in your own code"
            )
        if isinstance(text, str) and "${" in text:
            raise ValueError(
                f"{key}={text} is not allowed in a loaded configuration; it must be resolved, "
                "without ${...}; write the value itself"
            )


def _texts(node: Any, key: Any = None) -> Iterator[tuple[Any, Any]]:
    """Every leaf with the key it lies under, and every `_target_` whatever it is."""
    if isinstance(node, dict):
        for name, child in node.items():
            if name == "_target_":
                yield name, child
            else:
                yield from _texts(child, name)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _texts(child, key)
    else:
        yield key, node


def _may_be_built(target: Any) -> bool:
    if not isinstance(target, str) or not _below(target, _NAMED):
        return False  # before the look-up: that imports modules, which runs them
    try:
        found = hydra.utils.get_object(target)
    except Exception:  # a module may raise anything while it is imported
        return False
    if not isinstance(found, type | FunctionType) or found.__name__.startswith("_"):
        return False
    if not _below(found.__module__, _CLASSES if isinstance(found, type) else _FUNCTIONS):
        return False
    # Neither a method nor what only claims to come from there is found under its full name.
    return getattr(sys.modules.get(found.__module__), found.__qualname__, None) is found


def _below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _first_given(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


_LONGEST_NAME = 200  # of the 255 that a file system allows: locks are named after a folder

# Values of others that are taken without a word and then ruin a run; where the key is there.
_RANGES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("norm.momentum", lambda value: 0 < value <= 1, "above 0 and at most 1"),
    ("norm.eps", lambda value: 0 < value < math.inf, "a number > 0"),
    ("scheduler.patience", lambda value: value >= 0, "0 or more epochs"),
    ("scheduler.factor", lambda value: 0 < value < 1, "above 0 and below 1"),
    ("callbacks.early_stopping.patience", lambda value: value >= 1, "1 epoch or more"),
    ("callbacks.panel.slices", lambda value: value >= 1, "1 or more"),
    ("callbacks.panel.every", lambda value: value >= 1, "1 epoch or more"),
)

# Trainer options that brainseg sets itself, or cannot do without, and what to do instead.
_SET_BY_BRAINSEG = {
    "barebones": "brainseg needs what it leaves out",
    "check_val_every_n_epoch": "every epoch is scored",
    "enable_checkpointing": "every epoch is kept, so that a run resumes",
    "enable_model_summary": "the log tells the number of parameters",
    "enable_progress_bar": "it is drawn on a terminal alone",
    "fast_dev_run": "use trainer=debug",
    "log_every_n_steps": "history.csv has a row per epoch",
    "max_steps": "set epochs=N",
    "max_time": "set limit=HOURS",
    "min_epochs": "set epochs=N",
    "min_steps": "set epochs=N",
    "num_sanity_val_steps": "the first epoch shows what fails",
    "overfit_batches": "use trainer=debug",
    "reload_dataloaders_every_n_epochs": "the slices are the same in every epoch",
    "use_distributed_sampler": "a cell trains on one device",
    "val_check_interval": "every epoch is scored once",
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
    rate = config["optimizer"]["lr"]
    if not _is_positive(rate):
        raise ValueError(f"optimizer.lr={rate} must be a number > 0; set optimizer.lr=1e-3")
    for key in _SET_BY_BRAINSEG:
        if key in config["trainer"]:
            raise ValueError(
                f"trainer.{key}={config['trainer'][key]} must be left out: {_SET_BY_BRAINSEG[key]}"
            )
    for part in ("train", "val"):
        share = config["trainer"].get(f"limit_{part}_batches")
        if share is not None and not _is_positive(share):
            key = f"trainer.limit_{part}_batches"
            raise ValueError(f"{key}={share} must be a number > 0; leave it out for all batches")
    for key, good, rule in _RANGES:
        value: Any = config
        for word in key.split("."):
            value = value.get(word) if isinstance(value, Mapping) else None
        if value is not None and not (_is_number(value) and good(value)):
            raise ValueError(f"{key}={value} must be {rule}; set {key}=... to one")
    check_name(config["name"])


def _check_keys(config: Mapping[str, Any]) -> None:
    """Refuse groups that are left out (`~group`) and keys that nothing reads (`+key`)."""
    groups, known = _keys()
    if lacking := [name for name in groups if name not in config]:
        raise ValueError(
            f"~{lacking[0]} leaves out what every run needs; give {lacking[0]}=OPTION, as of --help"
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
        raise ValueError(f"{key}={config[key]} must be {rule}; set {key}=... to one")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return _is_number(value) and 0 < value < math.inf  # type: ignore[operator]


# at import, for the workers of any launcher
OmegaConf.register_new_resolver("or_else", _first_given, replace=True)
