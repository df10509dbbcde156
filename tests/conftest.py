"""Tiny phantoms and configurations that the tests share."""

import os

if not os.environ.get("BRAINSEG_TEST_GPU"):  # `make test-gpu`; the other tests are of the CPU
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OMP_NUM_THREADS"] = "1"  # tiny networks: a second thread only waits for the first

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from brainseg.config import CONF, compose
from brainseg.runs.cell import Cell
from brainseg.runs.checkpoint import load_checkpoint
from brainseg.runs.folder import RunFolder

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


@cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    return plain(compose([*TINY, *overrides]))


def tiny_config(*overrides: str) -> dict[str, Any]:
    return deepcopy(_composed(overrides))


def tiny_cell(folder: Path, *overrides: str) -> Cell:
    config = tiny_config(*overrides)
    chosen = dict(
        word.split("=", 1) for word in overrides if word.startswith(("norm=", "loss=", "split="))
    )
    choices = {"norm": "batch", "loss": "bce_dice"} | chosen
    return Cell(config, choices, folder, "python -m brainseg.train")


def composed(folder: Path, *overrides: str) -> DictConfig:
    """A tiny cell of a sweep as Hydra composes it, its own settings with it."""
    words = [*TINY, *overrides, f"hydra.sweep.dir='{folder.parent}'", "hydra.mode=MULTIRUN"]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("train", words, return_hydra_config=True)
    with open_dict(cfg):
        cfg.hydra.sweep.subdir = folder.name
        cfg.hydra.runtime.output_dir = str(folder)
    return cfg


def weights(cell: Cell, which: str = "last") -> dict[str, torch.Tensor]:
    return load_checkpoint(cell.folder / f"checkpoints/{which}.ckpt")["state_dict"]  # type: ignore[no-any-return]


def same_weights(first: Cell, second: Cell, which: str = "last") -> bool:
    a, b = weights(first, which), weights(second, which)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def without_times(cell: Cell) -> dict[str, Any]:
    metrics = RunFolder(cell.folder).required_metrics
    return {k: v for k, v in metrics.items() if k not in ("seconds", "peak_memory_mb", "date")}


def history(cell: Cell) -> pd.DataFrame:
    return pd.read_csv(cell.folder / "history.csv").drop(columns="seconds")


def assert_same_outcome(first: Cell, second: Cell) -> None:
    """All that two cells leave behind is the same, bit for bit, but for times."""
    assert same_weights(first, second, "last")
    assert same_weights(first, second, "best")
    pd.testing.assert_frame_equal(history(first), history(second), check_exact=True)
    assert without_times(first) == without_times(second)
    tables = [(cell.folder / "patients.csv").read_bytes() for cell in (first, second)]
    assert tables[0] == tables[1]
    a, b = (np.load(cell.folder / "predictions.npz") for cell in (first, second))
    assert a.files == b.files
    assert all(np.array_equal(a[name], b[name]) for name in a.files)
