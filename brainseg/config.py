"""The configuration: where it lies, how it is composed, how its objects are made."""

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType, UnionType
from typing import Any, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

_PACKAGE = Path(__file__).resolve().parent

# In a wheel conf/ lies inside the package; in a checkout beside it.
CONF = next(path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir())

# What a loaded configuration may build, by where it is defined. Not all of brainseg.data: its
# store writes. Of torch, classes alone: its functions set global hooks.
_READS = tuple(
    f"brainseg.data.{name}"
    for name in ("cache", "lgg", "phantom", "brats", "decathlon", "own", "split")
)
_OURS = (*_READS, *(f"brainseg.{name}" for name in ("models", "losses", "schedules", "module")))
_CLASSES = (*_OURS, "torch.nn.modules", "torch.optim")
_FUNCTIONS = (*_OURS, "torch.nn.functional")
_NAMED = (*_OURS, "torch.nn", "torch.optim")


def compose(overrides: list[str]) -> DictConfig:
    """The configuration that `python -m brainseg.train OVERRIDES` would train with.

    Raises:
        hydra.errors.HydraException: an override names an unknown key or option.
    """
    import hydra  # here and below where it is used: a mask for a scan is there without it
    from hydra.core.hydra_config import HydraConfig

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
    import hydra
    from hydra.errors import InstantiationException

    try:
        return hydra.utils.instantiate(node, _convert_="all", **kwargs)
    except InstantiationException as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise


def check_types(node: Any, path: str = "") -> None:
    """Refuse values of another type than what is built with them declares.

    Imports what is to be built.

    Args:
        node: a resolved configuration, or a part of it.
        path: its key.

    Raises:
        ValueError: names key, value and the type declared.
    """
    if isinstance(node, list):
        for child in node:
            check_types(child, path)
    if not isinstance(node, Mapping):
        return
    declared = _declared(node["_target_"]) if isinstance(node.get("_target_"), str) else {}
    for key, value in node.items():
        where = f"{path}.{key}" if path else str(key)
        if key in declared and "_target_" not in str(value) and not _fits(value, declared[key]):
            named = _named(declared[key])
            raise ValueError(f"{where}={value} must be {named}; set {where}=... to one")
        check_types(value, where)


@cache
def _declared(target: str) -> dict[str, Any]:
    """The parameters of a class or function, with their types where these are written down."""
    import hydra

    try:
        built = inspect.signature(hydra.utils.get_object(target), eval_str=True)
    except Exception:  # not importable, or without a signature: building it says so
        return {}
    return {name: each.annotation for name, each in built.parameters.items()}


def _named(declared: Any) -> str:
    """A type in words: `int or one of ['auto']`."""
    if len(each := get_args(declared)) > 1 and get_origin(declared) in (Union, UnionType):
        return " or ".join(map(_named, each))
    return inspect.formatannotation(declared).replace("Literal[", "one of [")


def _fits(value: Any, declared: Any) -> bool:
    """Whether a value is of a type; one that cannot be asked about fits."""
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    if declared is inspect.Parameter.empty:
        return True
    try:
        # as JSON: strict, but a list may be a tuple, and a whole number a float
        TypeAdapter(declared).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    except (PydanticUserError, TypeError):
        return True
    return True


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


def _first_given(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


# at import, for the workers of any launcher
OmegaConf.register_new_resolver("or_else", _first_given, replace=True)
