"""What makes a cell the cell it is: the settings that change its result, and its folder's name."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# What does not change the result, or only names where things lie.
_NOT_IDENTITY = (
    "name",
    "force",
    "limit",
    "plan",
    "question",
    "report",
    "workers",
    "data.root",
    "data.cache_dir",
    "trainer.accelerator",
    "callbacks.panel",
    "callbacks.learning_rate",
    "model.net.norm",  # these two repeat the norm and loss groups
    "model.loss",
)


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


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
