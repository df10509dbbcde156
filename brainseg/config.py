"""The configuration: where it lies, how it is composed, how its objects are made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

_PACKAGE = Path(__file__).resolve().parent

# In a wheel conf/ lies inside the package; in a checkout beside it.
CONF = next(path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir())

_TRUSTED = ("brainseg.", "torch.nn.", "torch.optim.")


def register_resolvers() -> None:
    """Make the resolvers that `conf/` uses known to OmegaConf; safe to call twice."""
    OmegaConf.register_new_resolver("or_else", _first_given, replace=True)


def compose(overrides: list[str]) -> DictConfig:
    """The configuration that `python -m brainseg.train OVERRIDES` would train with.

    Raises:
        hydra.errors.HydraException: an override names an unknown key or option.
    """
    register_resolvers()
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
    """Check a configuration that came with a file: it may name no code but ours and torch's.

    `weights_only=True` protects against code inside a checkpoint; without this check its
    configuration could still name any importable callable.

    Raises:
        ValueError: a `_target_` is outside brainseg, torch.nn and torch.optim.
    """
    for target in _targets(config):
        if not target.startswith(_TRUSTED):
            raise ValueError(
                f"_target_={target} is not allowed in a loaded configuration; only brainseg, "
                "torch.nn and torch.optim are; rebuild the module in your own code"
            )


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _targets(child)


def _first_given(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
