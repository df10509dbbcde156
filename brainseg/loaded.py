"""What a configuration that came with a file may build: code of ours and torch's, and no other."""

import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from brainseg.config import instantiate

# By where it is defined. Not all of brainseg.data: its writer writes. Of torch, classes alone: its
# functions set global hooks.
_READS = tuple(
    f"brainseg.data.{name}"
    for name in ("cache", "lgg", "phantom", "brats", "decathlon", "own", "split")
)
_OURS = (*_READS, *(f"brainseg.{name}" for name in ("models", "losses", "schedules", "module")))
_CLASSES = (*_OURS, "torch.nn.modules", "torch.optim")
_FUNCTIONS = (*_OURS, "torch.nn.functional")
_NAMED = (*_OURS, "torch.nn", "torch.optim")


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


def rebuilt(node: dict[str, Any]) -> Any:
    """As `instantiate`, of what came with a file; `refuse_foreign_targets` comes first."""
    refuse_foreign_targets({"node": node})
    return instantiate(node)


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
    import hydra

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
