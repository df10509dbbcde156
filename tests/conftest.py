"""Tiny phantoms and configurations that the tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from brainseg.cell import Cell
from brainseg.config import compose

torch.set_num_threads(1)  # tiny networks: a second thread only waits for the first

TINY = (
    "data=phantom",
    "data.reader.patients=8",
    "data.reader.slices=[3,5]",
    "data.reader.size=32",
    "data.size=32",
    "model.net.width=8",
    "model.net.depth=2",
    "batch_size=4",
    "epochs=2",
    "trainer=cpu",
)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("BRAINSEG_CACHE", str(folder))
        patch.delenv("BRAINSEG_DATA", raising=False)
        yield folder


def plain(cfg: DictConfig) -> dict[str, Any]:
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def tiny_config(*overrides: str) -> dict[str, Any]:
    return plain(compose([*TINY, *overrides]))


def tiny_cell(folder: Path, *overrides: str) -> Cell:
    config = tiny_config(*overrides)
    chosen = dict(word.split("=", 1) for word in overrides if word.startswith(("norm=", "loss=")))
    choices = {"norm": "batch", "loss": "bce_dice"} | chosen
    return Cell(config, choices, folder, "python -m brainseg.train")
