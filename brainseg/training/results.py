"""What a finished cell leaves behind: its files, and its line in TensorBoard's HParams tab."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
from lightning.pytorch.loggers import TensorBoardLogger

from brainseg.data.datamodule import PARTS, SegmentationDataModule
from brainseg.files import write_whole
from brainseg.hardware import peak_memory
from brainseg.module import SegmentationModule
from brainseg.runs.cell import Cell
from brainseg.runs.checkpoint import digest, load_checkpoint
from brainseg.runs.folder import BEST, METRICS, PATIENTS, PREDICTIONS
from brainseg.runs.provenance import data_state
from brainseg.training.callbacks import History
from brainseg.training.score import Scored


def summary(
    cell: Cell,
    scored: Mapping[str, Mapping[str, Scored]],
    data: SegmentationDataModule,
    module: SegmentationModule,
    history: History,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The content of `metrics.json`.

    Args:
        cell: what was trained.
        scored: by checkpoint (best, last) and split.
        data: set up.
        module: trained.
        history: of all epochs.
        seconds: that start, epochs and scoring took.
    """
    trainer = cell.config["trainer"]
    return {
        "scores": {w: {p: s.scores for p, s in each.items()} for w, each in scored.items()},
        "regions": {
            which: {part: _by_region(each.patients) for part, each in parts.items()}
            for which, parts in scored.items()
        },
        "best_epoch": history.best_epoch,
        "epochs": len(history.rows),
        "stopped_early": len(history.rows) < cell.config["epochs"],
        "norm": cell.choices["norm"],
        "loss": cell.choices["loss"],
        "seed": cell.config["seed"],
        "split": {
            "leaky": data.split.leaky,
            "members": data.members,
            "persons": data.scans.persons,
        },
        "data": data_state(data),
        "weights": digest(load_checkpoint(cell.folder / BEST)),
        "parameters": sum(p.numel() for p in module.net.parameters()),
        "precision": trainer["precision"],
        "deterministic": bool(trainer.get("deterministic")),
        "seconds": {key: round(value, 3) for key, value in seconds.items()},
        "peak_memory_mb": peak_memory(trainer["accelerator"]),
        **history.here,
        "sessions": history.sessions,
        "command": cell.command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write(
    folder: Path,
    scored: Mapping[str, Mapping[str, Scored]],
    data: SegmentationDataModule,
    metrics: Mapping[str, Any],
) -> None:
    """Write what evaluate and report read; `metrics.json` last, since it says finished.

    Args:
        folder: the run folder.
        scored: by checkpoint (best, last) and split.
        data: set up.
        metrics: the content of `metrics.json`.
    """
    tables = [
        each.patients.assign(checkpoint=which, split=part)
        for which, parts in scored.items()
        for part, each in parts.items()
    ]
    table = pd.concat(tables)
    first = ["checkpoint", "split"]
    table = table[first + [name for name in table.columns if name not in first]]
    write_whole(folder / PATIENTS, table.to_csv(index=False))
    tested = data.scans.index.iloc[data.split.test]
    shapes = np.array([data.scans.geometry(int(row)).shape for row in data.split.test])
    partial = folder / f"{PREDICTIONS}.part"
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            masks=scored["best"]["test"].masks,
            region=np.array(data.scans.regions),
            shape=shapes[0] if (shapes == shapes[0]).all() else shapes,
            patient=tested["patient"].to_numpy(dtype=str),
            slice=tested["slice"].to_numpy(),
        )
    partial.replace(folder / PREDICTIONS)
    write_whole(folder / METRICS, json.dumps(metrics, indent=1))


def _by_region(patients: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Mean Dice of each region: of all patients (1 where none is, or found), of those having it."""
    found: dict[str, dict[str, Any]] = {}
    for region, rows in patients.groupby("region", sort=False):
        having = rows[rows["target"] > 0]
        found[str(region)] = {
            "dice": float(rows["dice"].mean()),
            "patients": len(rows),
            "dice_of_having": float(having["dice"].mean()) if len(having) else None,
            "having": len(having),
        }
    return found


def log_hyperparameters(trainer: L.Trainer, cell: Cell) -> None:
    """Announce the cell in TensorBoard's HParams tab: norm, loss, epochs, seed."""
    shown: dict[str, Any] = {"norm": cell.choices["norm"], "loss": cell.choices["loss"]}
    shown |= {key: cell.config[key] for key in ("epochs", "seed")}
    # TensorBoard's HParams tab shows only metrics that were announced beside the parameters.
    announced = {f"hp/{part}_{name}": float("nan") for part in PARTS for name in ("dice", "iou")}
    assert isinstance(trainer.logger, TensorBoardLogger)
    trainer.logger.log_hyperparams(shown, announced)


def log_scores(trainer: L.Trainer, scored: Mapping[str, Mapping[str, Scored]]) -> None:
    """Put the final scores of the best checkpoint into the HParams tab."""
    final = {
        f"hp/{part}_{name}": scored["best"][part].scores[name]
        for part in PARTS
        for name in ("dice", "iou")
    }
    assert trainer.logger is not None
    trainer.logger.log_metrics(final, step=0)
    trainer.logger.finalize("success")
