"""What was evaluated and how, in words and as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from brainseg.data.cache import Scans
from brainseg.evaluate.measure import Measured
from brainseg.evaluate.request import Request
from brainseg.evaluate.selection import NEW, SEEN, parts
from brainseg.evaluate.trained import Trained
from brainseg.hardware import describe
from brainseg.runs.provenance import CODE

FEW = 10  # patients


def with_parts(
    measured: Mapping[str, Measured],
    folds: Sequence[Sequence[Trained]],
    split: str,
    *,
    own: bool,
    persons: Mapping[str, str],
) -> dict[str, Measured]:
    """The same, with a column `part`: where each patient is in the runs' splits, or `new`."""
    found = {}
    # else a patient's slices, or of folds the patient, are in several parts
    one = len(folds) == 1 and not (own and folds[0][0].leaky)
    for region, each in measured.items():
        names = each.patients["patient"].tolist()
        table = each.patients.copy()
        table.insert(3, "part", parts(folds[0], names, persons) if one else [split] * len(names))
        found[region] = replace(each, patients=table)
    return found


def facts(
    request: Request,
    folds: Sequence[Sequence[Trained]],
    scans: Scans,
    measured: Mapping[str, Measured],
    of_val: str = "",
) -> dict[str, Any]:
    """`title`, `lines` and `warnings` to read, and the rest to look up.

    Args:
        request: what was asked for.
        folds: the runs that score the same patients; all, where these are no folds.
        scans: that were scored.
        measured: by region, with the parts of its patients.
        of_val: what to say of the patients that the threshold is chosen on.
    """
    runs = [run for fold in folds for run in fold]
    first = next(iter(measured.values()))
    patients, slices = first.patients, len(first.slices)
    any_region = pd.concat([each.slices["target"] for each in measured.values()], axis=1)
    tumour = int((any_region > 0).any(axis=1).sum())
    where = " ".join(request.data) or f"{request.root or 'the scans of the training'}"
    lines = [
        *(f"run {run.folder.resolve().name}: {_settings(run)}" for run in runs),
        f"checkpoint {request.checkpoint}, split {request.split}, on {where}: "
        f"{len(patients)} patients, {slices} slices, {tumour} of them with tumour",
        f"threshold 0.5; surface Dice within {request.rules.tolerance:g} pixels",
        _spacing(request, first),
        f"made with `{request.command}`, {datetime.now(UTC).isoformat(timespec='seconds')}",
    ]
    lines += [of_val] if of_val else []
    if request.split == "all":
        lines.append("the threshold below is chosen on val, which may be among them")
        every = pd.concat([each.patients for each in measured.values()])
        by_part = every.groupby("part", sort=False).agg({"patient": "nunique", "dice": "mean"})
        lines += [
            f"{part}: {n} patients, Dice {dice:.3f}" for part, n, dice in by_part.itertuples()
        ]
    return {
        "title": _title(request, folds),
        "lines": lines,
        "warnings": _warnings(request, folds, patients["part"].tolist()),
        "runs": [str(run.folder.resolve()) for run in runs],
        "split": request.split,
        "checkpoint": request.checkpoint,
        "best_epoch": [run.metrics.get("best_epoch") for run in runs],
        "tta": request.tta,
        "root": str(request.root) if request.root else None,
        "data": list(request.data),
        "fingerprint": scans.fingerprint,
        "tolerance": request.rules.tolerance,
        "spacing": request.rules.spacing,
        "patients": len(patients),
        "slices": slices,
        "precision": [run.precision for run in runs],
        "hardware": describe("gpu" if runs[0].module.device.type == "cuda" else "cpu"),
        **CODE,
        "command": request.command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _title(request: Request, folds: Sequence[Sequence[Trained]]) -> str:
    what = folds[0][0].folder.resolve().name
    if len(folds) > 1:
        what = f"{len(folds)} folds, each patient by the network that tested it,"
    elif len(folds[0]) > 1:
        what = f"an ensemble of {len(folds[0])} runs"
    flips = " with test-time augmentation" if request.tta else ""
    return f"Evaluation of {what} on {request.split}{flips}"


def _settings(run: Trained) -> str:
    known = run.metrics
    return (
        f"norm {known.get('norm')}, loss {known.get('loss')}, {known.get('epochs')} epochs "
        f"(best {known.get('best_epoch')}), seed {known.get('seed')}, {run.precision}"
    )


def _spacing(request: Request, measured: Measured) -> str:
    within = f"surface Dice within {request.rules.tolerance:g} mm"
    if request.rules.spacing is None and "hd95_mm" in measured.patients:
        return f"in 3D the spacing of each patient's files, {within}"
    if request.rules.spacing is None:
        return "no scores in 3D: the spacing is not known (--spacing)"
    spacing = " x ".join(f"{mm:g}" for mm in request.rules.spacing)
    return f"in 3D spacing {spacing} mm, {within}"


def _warnings(request: Request, folds: Sequence[Sequence[Trained]], of: Sequence[str]) -> list[str]:
    found, runs = [], [run for fold in folds for run in fold]
    seen = sum(part in SEEN for part in of)
    if any(run.leaky for run in runs) and set(of) != {NEW}:
        found.append("LEAKY split: slices of one patient are in several parts; scores are too good")
    if request.split == "train":
        found.append("The network was trained on these patients")
    elif request.split == "val":
        chosen = "The checkpoint and the threshold below were"
        last = "The threshold below was"
        what = chosen if request.checkpoint == "best" else last
        found.append(f"{what} chosen on these patients")
    elif seen:
        found.append(f"{seen} of {len(of)} patients were trained or validated on")
    if request.elsewhere and request.split == "all" and NEW not in of:
        found.append("None of the patients is new to the run's split")
    of_part = len(runs[0].members.get(request.split, of))
    if len(folds) > 1 and len(of) < (every := sum(map(len, runs[0].members.values()))):
        found.append(f"Only {len(of)} of {every} patients are tested by these {len(folds)} folds")
    elif len(of) < of_part:
        found.append(f"Only {len(of)} of the {of_part} patients of {request.split} are there")
    if 1 < len(of) < FEW:
        found.append(f"Only {len(of)} patients: intervals from so few are too narrow")
    return found
