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
    "jobs",
    "data.root",
    "data.cache_dir",
    "trainer.accelerator",
    "callbacks.panel",
    "callbacks.learning_rate",
    "model.net.norm",  # these two repeat the norm and loss groups
    "model.loss",
)

# Keys that came later, with what runs from before them did.
_LATER = {"data.slices": "all", "data.head": "otsu"}


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a cell the cell it is, as flat `{"optimizer.lr": 0.001}`.

    Left out: paths, name, device, number of workers, pictures. A `_target_` of brainseg counts by
    the name of what it builds, not by its module, so that a module may move; a foreign one whole.
    """
    return {key: _named(key, value) for key, value in _settings(config).items()}


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in (_LATER | flat(config)).items()
        if not any(key == name or key.startswith(f"{name}.") for name in _NOT_IDENTITY)
    }


def _named(key: str, value: Any) -> Any:
    ours = key.rpartition(".")[2] == "_target_" and str(value).startswith("brainseg.")
    return str(value).rpartition(".")[2] if ours else value


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys in which two identities differ, as `key: old -> new`."""
    absent = "(absent)"
    return [
        f"{key}: {old.get(key, absent)} -> {new.get(key, absent)}"
        for key in sorted({*old, *new})
        if old.get(key, absent) != new.get(key, absent)
    ]


def folder_name(
    config: Mapping[str, Any],
    choices: Mapping[str, str],
    default: Mapping[str, Any],
    *,
    modules: bool = False,
) -> str:
    """`<norm>-<loss>-e<epochs>-s<seed>`, and a hash of whatever else is not the default.

    Args:
        config: the cell's configuration.
        choices: its option in each group.
        default: the configuration with the same norm and loss and nothing else overridden.
        modules: the hash as revisions up to ab2aa83 made it, over the modules' names too.
    """
    named, known = ("epochs", "seed"), _settings if modules else identity
    other = {key: value for key, value in known(config).items() if key not in named}
    usual = {key: value for key, value in known(default).items() if key not in named}
    changed = differences(usual, other)
    name = f"{choices['norm']}-{choices['loss']}-e{config['epochs']}-s{config['seed']}"
    if not changed:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(changed).encode()).hexdigest()[:8]}"


def flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `{"optimizer.lr": 0.001}`."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
