"""The configuration: where it lies, how it is composed, how its objects are made."""

import inspect
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

_PACKAGE = Path(__file__).resolve().parent

# In a wheel conf/ lies inside the package; in a checkout beside it.
CONF = next(path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir())


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    Path: "a path",
    type(None): "null",
}


def compose(overrides: list[str]) -> DictConfig:
    """The configuration that `python -m brainseg.train OVERRIDES` would train with.

    Raises:
        hydra.errors.HydraException: an override names an unknown key or option.
        ValueError: an override gives several options of a group.
    """
    refuse_several(overrides)
    import hydra  # here and below where it is used: a mask for a scan is there without it
    from hydra.core.hydra_config import HydraConfig

    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("train", overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        OmegaConf.set_struct(cfg, False)
        cfg.pop("hydra")
        return cfg


def refuse_several(words: Sequence[str]) -> None:
    """Refuse a list of options: Hydra would merge them into one, in silence, or fail within.

    Raises:
        ValueError: names the word and what is meant.
    """
    for word in words:
        group, _, value = word.lstrip("+").partition("=")
        if value[:1] in ("[", "{") and (CONF / group).is_dir():
            raise ValueError(
                f"{word} must be one option of its group; to train with each, sweep: "
                f"-m {group}=OPTION,OPTION"
            )


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
            raise ValueError(f"{where}={value!r} must be {named}; set {where}=... to one")
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
    """A type in words: `a whole number or one of ['auto']`."""
    written = (each for each in get_args(declared) if getattr(each, "__name__", "") != "Tensor")
    origin, parts = get_origin(declared), [_named(each) for each in written]
    if origin in (Union, UnionType):
        return " or ".join(parts)
    if origin in (Sequence, tuple):
        return f"a list ({', '.join(parts) if origin is tuple else f'each {parts[0]}'})"
    if origin is Mapping:
        return f"a mapping ({parts[0]}: {parts[1]})"
    if isinstance(declared, type) and declared in _WORDS:
        return _WORDS[declared]
    return inspect.formatannotation(declared).replace("Literal[", "one of [")


def _fits(value: Any, declared: Any) -> bool:
    """Whether a value is of a type; one that cannot be asked about fits."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    if declared is inspect.Parameter.empty:
        return True
    try:
        # as JSON: strict, but a list may be a tuple, and a whole number a float; never a tensor
        adapter = TypeAdapter(declared, config=ConfigDict(arbitrary_types_allowed=True))
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    except (PydanticUserError, TypeError):
        return True
    return True


def _first_given(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


# at import, for the workers of any launcher
OmegaConf.register_new_resolver("or_else", _first_given, replace=True)
