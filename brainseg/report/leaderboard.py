"""The table: configurations in val order, what they score on test, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pandas as pd

from brainseg.report.cells import SCORES
from brainseg.report.configurations import Configuration, same_model
from brainseg.report.factors import Levels
from brainseg.report.gather import Found
from brainseg.report.spread import spread
from brainseg.report.study import Study
from brainseg.statistics import Interval, interval


@dataclass(frozen=True)
class Row:
    """One configuration.

    Attributes:
        levels: of each factor.
        val: mean val Dice over its cells.
        rank: its place by test Dice within its split; None without test scores.
        test: mean test Dice by patient, with interval over patients and seeds.
        median: of the patients' test Dice, pooled over seeds.
        scores: the other scores on test: means over patients and seeds.
        train: mean train Dice over its cells; None where it was not scored.
        sd_patients: standard deviation of the test Dice between patients.
        sd_seeds: of the mean test Dice between seeds, as components of variance; None: one seed.
        cells: how many.
        seeds: how many.
        parameters: of the network.
        seconds: mean seconds of training and validation of a cell.
        memory: mean peak memory of a cell in MB: of the GPU where one was used, else of the host.
        notes: what to know of it.
    """

    levels: Levels
    val: float
    rank: int | None
    test: Interval | None
    median: float | None
    scores: dict[str, float]
    train: float | None
    sd_patients: float | None
    sd_seeds: float | None
    cells: int
    seeds: int
    parameters: int
    seconds: float
    memory: float
    notes: list[str]


def leaderboard(study: Study) -> list[Row]:
    """A row per configuration, in val order; those of other splits after them."""
    rows = []
    for number, members in enumerate(study.groups):
        means = [float(each.best.to_numpy().mean()) for each in members if not each.best.empty]
        for each in members:
            mean = None if each.best.empty else float(each.best.to_numpy().mean())
            rank = None if mean is None else 1 + sum(other > mean for other in means)
            rows.append(_row(each, rank, _notes(each, members, number)))
    return rows


def cells_table(found: Found, levels: Sequence[Levels]) -> pd.DataFrame:
    """A row per cell, finished or not: what `runs.csv` holds."""
    rows: list[dict[str, object]] = []
    for result, chosen in zip(found.results, levels, strict=True):
        metrics = result.metrics
        row: dict[str, object] = {"cell": result.name, "state": "finished", "reason": "", **chosen}
        row |= {"seed": result.seed, "fold": result.fold, "split": result.split}
        for which in ("best", "last"):
            for part in ("train", "val", "test"):
                row |= {f"{which}/{part}/{n}": result.score(which, part, n) for n in SCORES}
        row |= {"leaky": result.leaky, "best_epoch": metrics["best_epoch"]}
        row |= {"epochs_trained": metrics["epochs"], "parameters": metrics.get("parameters")}
        row |= {f"seconds/{name}": value for name, value in metrics["seconds"].items()}
        row |= {f"memory_mb/{k}": v for k, v in metrics.get("peak_memory_mb", {}).items()}
        row |= {"precision": metrics.get("precision"), "git": metrics.get("git")}
        rows.append(row)
    rows += [
        {"cell": each.name, "state": each.state, "reason": each.reason} for each in found.absent
    ]
    return pd.DataFrame(rows)


def _row(each: Configuration, rank: int | None, notes: list[str]) -> Row:
    table = each.best.to_numpy(dtype=float)
    metrics = [result.metrics for result in each.results]
    trained = [result.score("best", "train") for result in each.results]
    scored = table.size > 0
    parts = spread(table) if scored and table.shape[1] > 1 else None
    return Row(
        levels=each.levels,
        val=each.val,
        rank=rank,
        test=interval(table) if scored else None,
        median=float(np.median(table.mean(0))) if scored else None,
        scores={n: float(each.table(name=n).to_numpy().mean()) for n in SCORES if scored},
        train=fmean(v for v in trained if v is not None) if None not in trained else None,
        sd_patients=parts.patients if parts else None,
        sd_seeds=parts.seeds if parts else None,
        cells=len(each.results),
        seeds=len(each.seeds),
        parameters=int(metrics[0].get("parameters", 0)),
        seconds=fmean(each["seconds"]["epochs"] for each in metrics),
        memory=fmean(_memory(each.get("peak_memory_mb", {})) for each in metrics),
        notes=notes,
    )


def _memory(peak: dict[str, float]) -> float:
    return peak.get("gpu") or peak.get("host", float("nan"))


def _notes(each: Configuration, members: Sequence[Configuration], number: int) -> list[str]:
    notes = ["LEAKY split"] if each.leaky else []
    if number:
        notes.append(f"another split ({number + 1})")
    twin = next((other for other in members if same_model(other, each)), None)
    if twin:
        notes.append(f"same model as {twin.levels['epochs']} epochs")
    if any(result.metrics.get("stopped_early") for result in each.results):
        notes.append("stopped early")
    lost = len({(result.seed) for result in each.results}) - len(each.best)
    if lost and not each.best.empty:
        notes.append(f"{lost} of its seeds lack folds or test scores and are left out")
    return notes
