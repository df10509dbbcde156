"""Sweeps with a known truth, in memory or as the folders that a real one leaves."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from brainseg.report.cells import SCORES, Result

PARTS = {"train": 12, "val": 8, "test": 20}


@dataclass(frozen=True)
class Truth:
    """What a sweep's scores are drawn from; standard deviations of Dice.

    Attributes:
        effect: of a cell's levels on its mean Dice.
        patient: between patients, the same in all cells.
        seed: between the networks that differ in their seed alone, the same for all patients.
        noise: of each patient in each network.
        tested: number of test patients.
    """

    effect: Callable[[Mapping[str, Any]], float] = lambda levels: 0.0
    patient: float = 0.1
    seed: float = 0.0
    noise: float = 0.03
    tested: int = PARTS["test"]


def sweep(
    axes: Mapping[str, Sequence[Any]], truth: Truth | None = None, *, draw: int = 0
) -> list[Result]:
    """A result for each combination of levels; keys are `norm`, `loss`, `epochs`, `seed`, `a.b`."""
    truth = truth or Truth()
    rng = np.random.default_rng(draw)
    sizes = PARTS | {"test": truth.tested}
    patients = {part: rng.normal(0, truth.patient, size) for part, size in sizes.items()}
    made = []
    for levels in product(*axes.values()):
        chosen = dict(zip(axes, levels, strict=True))
        mean = 0.7 + truth.effect(chosen) + rng.normal(0, truth.seed)
        dice = {
            part: np.clip(mean + each + rng.normal(0, truth.noise, len(each)), 0, 1)
            for part, each in patients.items()
        }
        made.append(result(chosen, dice))
    return made


def result(
    levels: Mapping[str, Any],
    dice: Mapping[str, Any],
    *,
    last: Mapping[str, Any] | None = None,
    names: Mapping[str, list[str]] | None = None,
    **metrics: Any,
) -> Result:
    """A finished cell with the Dice of each patient of each part.

    Args:
        levels: its settings; the rest is as everywhere.
        dice: by part, of the best epoch.
        last: by part, of the last epoch; as of the best where there is none.
        names: of the patients, by part.
        metrics: what differs in `metrics.json`.
    """
    config = _config(levels)
    choices = {"norm": config["norm"]["_target_"], "loss": config["loss"]["_target_"]}
    choices |= {"split": config["split"]["_target_"], "optimizer": "adam", "data": "lgg"}
    who = {part: [f"P_{part}_{n:02}" for n in range(len(each))] for part, each in dice.items()}
    who |= dict(names or {})
    tables = []
    scores: dict[str, Any] = {"best": {}, "last": {}}
    for which, by_part in (("best", dice), ("last", last or dice)):
        for part, values in by_part.items():
            table = _patients(which, part, who[part], np.asarray(values, dtype=float))
            tables.append(table)
            scores[which][part] = {name: float(np.mean(table[name])) for name in SCORES}
    told: dict[str, Any] = {
        "scores": scores,
        "best_epoch": min(3, config["epochs"]),
        "epochs": config["epochs"],
        "stopped_early": False,
        "seed": config["seed"],
        "split": {"leaky": False, "members": {p: who.get(p, []) for p in PARTS}},
        "data": {"fingerprint": "f" * 8, "patients": 40},
        "parameters": 1000,
        "seconds": {"epochs": 60.0, "scoring": 2.0, "start": 1.0},
        "peak_memory_mb": {"host": 900.0, "gpu": 0.0},
        "hardware": {"device": "a CPU"},
        "versions": {"brainseg": "0.1.0"},
        "precision": "32-true",
        "git": "abc",
        "command": "python -m brainseg.train -m name=toy",
        "date": "2026-11-21T12:00:00+00:00",
    }
    name = "-".join(str(value) for value in levels.values())
    columns = {key: [value for table in tables for value in table[key]] for key in tables[0]}
    return Result(name, config, choices, told | metrics, pd.DataFrame(columns), _history(config))


def write(results: Sequence[Result], folder: Path, *, listed: Sequence[str] = ()) -> Path:
    """Write results as a sweep's folder; `listed` names cells that have no folder."""
    for each in results:
        cell = folder / each.name
        (cell / ".hydra").mkdir(parents=True)
        hydra = {"hydra": {"runtime": {"choices": each.choices}}}
        (cell / ".hydra/hydra.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(hydra)))
        (cell / ".hydra/config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(each.config)))
        each.patients.to_csv(cell / "patients.csv", index=False)
        each.history.to_csv(cell / "history.csv", index=False)
        (cell / "metrics.json").write_text(json.dumps(each.metrics))
    about = {"norm": "x", "loss": "y", "epochs": 9, "seed": 0, "continues": None}
    cells = dict.fromkeys([*(each.name for each in results), *listed], about)
    content = {"command": "python -m brainseg.train -m name=toy", "cells": cells}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder


def _config(levels: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "epochs": 5,
        "seed": 0,
        "norm": {"_target_": "batch"},
        "loss": {"_target_": "bce"},
        "optimizer": {"lr": 0.001},
        "split": {"_target_": "patient", "seed": 0, "fold": None, "folds": 5},
        "trainer": {"precision": "32-true", "accelerator": "cpu"},
    }
    for key, value in levels.items():
        if key in ("norm", "loss", "split"):
            config[key] = {**config[key], "_target_": value}
            continue
        node = config
        *path, leaf = key.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    return config


def _patients(which: str, part: str, who: list[str], dice: Any) -> dict[str, list[Any]]:
    """Columns of `patients.csv`; one frame of all parts is built from them, since frames cost."""
    count = len(who)
    same = {"checkpoint": which, "split": part, "slices": 20, "pixels": 100_000, "accuracy": 0.99}
    scores = {"dice": dice, "iou": dice / (2 - dice), "precision": dice, "recall": dice}
    return {
        "patient": who,
        "institution": ["AB"[n % 2] for n in range(count)],
        "target": [100 * (n + 1) for n in range(count)],
        **{name: [value] * count for name, value in same.items()},
        **{name: values.tolist() for name, values in scores.items()},
    }


def _history(config: Mapping[str, Any]) -> pd.DataFrame:
    epochs = np.arange(1, config["epochs"] + 1)
    val = 0.7 * (1 - 0.5**epochs)
    table = {"epoch": epochs, "train/dice": val + 0.05, "val/dice": val}
    return pd.DataFrame(table | {"seconds": 1.0})
