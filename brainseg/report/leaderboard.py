"""The tables of configurations in val order: scores, cost and spread; and that of the cells."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import pandas as pd

from brainseg.report.answer import span
from brainseg.report.cells import SCORES
from brainseg.report.configurations import Configuration, same_model
from brainseg.report.content import Table, number_or_dash
from brainseg.report.factors import Levels
from brainseg.report.gather import Found
from brainseg.report.patients import accuracy_of_nothing
from brainseg.report.study import Study
from brainseg.report.variance import spread
from brainseg.statistics import interval


def leaderboard(study: Study) -> Table:
    """Scores and cost of each configuration; those of other splits after them."""
    header = ["#", *_factors(study), "val Dice", "test Dice (95 %)", "test rank", "median", "IoU"]
    header += ["precision", "recall", "accuracy", "seeds", "parameters", "seconds", "peak MB"]
    rows, notes = list[list[str]](), list[str]()
    for number, members in enumerate(study.groups):
        means = [each.mean for each in members if each.mean is not None]
        for each in members:
            rank = 1 + sum(other > each.mean for other in means) if each.mean is not None else "–"
            rows.append([str(len(rows) + 1), *_levels(each), *_scores(each, rank), *_cost(each)])
            notes.append(", ".join(_notes(each, members, number)))
    if any(notes):
        header.append("notes")
        rows = [[*row, note] for row, note in zip(rows, notes, strict=True)]
    caption = "In the order of val Dice; choose by it. Test only says how good the choice is."
    nothing = accuracy_of_nothing(study.main.configurations)
    if nothing == nothing:
        caption += f" Predicting nothing has Dice 0 and accuracy {nothing:.4f}."
    return Table(caption, header, rows)


def spreads(study: Study) -> Table:
    """The spread between seeds beside the spread between patients."""
    header = ["#", *_factors(study), "cells", "seeds", "SD between patients", "SD between seeds"]
    rows = []
    for number, each in enumerate(study.configurations, 1):
        table = each.best.to_numpy(dtype=float)
        found = spread(table) if table.shape[-1] > 1 and len(table) else (None, None)
        counts = (str(len(each.results)), str(len(each.seeds)))
        rows.append([str(number), *_levels(each), *counts, *map(number_or_dash, found)])
    caption = (
        "Spread of the test Dice: between patients within a network, and between the means of "
        "networks that differ in their seed (beyond what patients explain)."
    )
    return Table(caption, header, rows)


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


def _scores(each: Configuration, rank: object) -> list[str]:
    """Val, test with interval, rank, median and the other scores on test."""
    table = each.best.to_numpy(dtype=float)
    if not table.size:
        return [f"{each.val:.3f}", *["–"] * 7]
    means = {name: float(each.table(name=name).to_numpy().mean()) for name in SCORES}
    return [
        *(f"{each.val:.3f}", span(interval(table)), str(rank)),
        f"{np.median(table.mean(0)):.3f}",
        *(f"{means[name]:.3f}" for name in ("iou", "precision", "recall")),
        f"{means['accuracy']:.4f}",
    ]


def _cost(each: Configuration) -> list[str]:
    """Seeds, parameters, and of a cell the mean seconds of its epochs and its peak memory."""
    metrics = [result.metrics for result in each.results]
    peaks = [one.get("peak_memory_mb", {}) for one in metrics]
    memory = fmean(peak.get("gpu") or peak.get("host", float("nan")) for peak in peaks)
    return [
        str(len(each.seeds)),
        f"{metrics[0].get('parameters', 0):,}",
        f"{fmean(one['seconds']['epochs'] for one in metrics):.0f}",
        number_or_dash(memory, 0),
    ]


def _notes(each: Configuration, members: Sequence[Configuration], number: int) -> list[str]:
    notes = ["LEAKY split"] if each.leaky else []
    if number:
        notes.append(f"another split ({number + 1})")
    twin = next((other for other in members if same_model(other, each)), None)
    if twin:
        notes.append(f"same model as {twin.levels['epochs']} epochs")
    if any(result.metrics.get("stopped_early") for result in each.results):
        notes.append("stopped early")
    lost = len(each.seeds) - len(each.best)
    if lost and not each.best.empty:
        notes.append(f"{lost} of its seeds lack folds or test scores and are left out")
    return notes


def _factors(study: Study) -> list[str]:
    return study.factors or ["configuration"]


def _levels(each: Configuration) -> list[str]:
    return list(each.levels.values()) or ["the only one"]
