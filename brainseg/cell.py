"""One cell of a sweep (or a single run): what it is, where it lies, how far it has come.

Imports neither torch nor Lightning, so that the process that owns a sweep starts at once.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

METRICS = "metrics.json"
FAILED = "failed.json"
LAST = "checkpoints/last.ckpt"
_CONFIG = ".hydra/config.yaml"

# What does not change the result, or only names where things lie.
_NOT_IDENTITY = (
    "name",
    "force",
    "workers",
    "data.root",
    "data.cache_dir",
    "trainer.accelerator",
    "callbacks.panel",
    "callbacks.learning_rate",
    "model.net.norm",  # these two repeat the norm and loss groups
    "model.loss",
)


@dataclass(frozen=True)
class Cell:
    """One training run.

    Attributes:
        config: the resolved configuration as plain containers.
        choices: the option chosen in each group, `{"norm": "group", ...}`.
        folder: where it is written.
        command: the shell command that resumes it, or its sweep.
    """

    config: dict[str, Any]
    choices: dict[str, str]
    folder: Path
    command: str

    @property
    def finished(self) -> bool:
        """True where training, scoring and writing are complete."""
        return (self.folder / METRICS).is_file()

    def saved_config(self) -> dict[str, Any] | None:
        """The configuration that the folder was made with, or None where there is none."""
        path = self.folder / _CONFIG
        if not path.is_file():
            return None
        config = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(config, dict)
        return {str(key): value for key, value in config.items()}

    def write_config(self) -> None:
        """Write `.hydra/config.yaml` and `.hydra/hydra.yaml` (the choices)."""
        hydra = {"hydra": {"runtime": {"choices": self.choices}}}
        for name, content in ((_CONFIG, self.config), (".hydra/hydra.yaml", hydra)):
            write_whole(self.folder / name, OmegaConf.to_yaml(OmegaConf.create(content)))

    def changed(self) -> list[str]:
        """The keys in which the folder's configuration differs, as `key: old -> new`."""
        saved = self.saved_config()
        return [] if saved is None else differences(identity(saved), identity(self.config))

    def refuse_other(self) -> None:
        """Refuse a folder that another configuration made, unless `force=true`.

        Raises:
            ValueError: names the keys that differ.
        """
        if not self.config["force"] and (changed := self.changed()):
            raise ValueError(
                f"{self.folder} holds another configuration ({'; '.join(changed)}); "
                "choose another name=..., or force=true to keep the old folder aside"
            )

    def claim(self) -> None:
        """Make the folder this cell's own; `force=true` moves another's aside.

        Raises:
            ValueError: as `refuse_other`.
        """
        self.refuse_other()
        if self.changed():
            self.folder.rename(self.folder.with_name(f"{self.folder.name}.{time.time_ns()}.old"))
        if self.saved_config() is None:
            self.write_config()

    def failure(self) -> str | None:
        """Why the last try failed, or None."""
        path = self.folder / FAILED
        return str(json.loads(path.read_text())["reason"]) if path.is_file() else None

    def write_failure(self, reason: str) -> None:
        """Keep why this try failed; the next start of the cell removes it."""
        write_whole(self.folder / FAILED, json.dumps({"reason": reason}))


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a cell the cell it is, as flat `{"optimizer.lr": 0.001}`.

    Left out: paths, name, device, number of workers, pictures.
    """
    return {
        key: value
        for key, value in _flat(config).items()
        if not any(key == name or key.startswith(f"{name}.") for name in _NOT_IDENTITY)
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys in which two identities differ, as `key: old -> new`."""
    absent = "(absent)"
    return [
        f"{key}: {old.get(key, absent)} -> {new.get(key, absent)}"
        for key in sorted({*old, *new})
        if old.get(key, absent) != new.get(key, absent)
    ]


def folder_name(
    config: Mapping[str, Any], choices: Mapping[str, str], default: Mapping[str, Any]
) -> str:
    """`<norm>-<loss>-e<epochs>-s<seed>`, and a hash of whatever else is not the default.

    Args:
        config: the cell's configuration.
        choices: its option in each group.
        default: the configuration with the same norm and loss and nothing else overridden.
    """
    named = ("epochs", "seed")
    other = {key: value for key, value in identity(config).items() if key not in named}
    usual = {key: value for key, value in identity(default).items() if key not in named}
    changed = differences(usual, other)
    name = f"{choices['norm']}-{choices['loss']}-e{config['epochs']}-s{config['seed']}"
    if not changed:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(changed).encode()).hexdigest()[:8]}"


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
    rate = config["optimizer"]["lr"]
    good = isinstance(rate, int | float) and 0 < rate < float("inf")
    if not good:
        raise ValueError(f"optimizer.lr={rate} must be a number > 0; set optimizer.lr=1e-3")
    if str(config["name"] or "x").startswith(("/", ".")) or "=" in str(config["name"]):
        raise ValueError(f"name={config['name']} must be a plain folder name; try name=paper")


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is either there and whole, or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _require(config: Mapping[str, Any], key: str, good: bool, rule: str) -> None:
    if not good:
        raise ValueError(f"{key}={config[key]} must be {rule}; set {key}=... to one")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
