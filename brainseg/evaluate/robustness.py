"""How scores fall as scans become worse: a table and a plot (the idea: ROOD-MRI, Boone 2023)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from brainseg.data.cache import Scans
from brainseg.evaluate.corruption import KINDS, LEVELS, corrupted
from brainseg.evaluate.evaluation import Opened, opened
from brainseg.evaluate.folder import CARD, claimed
from brainseg.evaluate.interval import mean
from brainseg.evaluate.overlap import count_slices, scores
from brainseg.evaluate.request import Request
from brainseg.figures.style import canvas, colour, marker
from brainseg.inference import THRESHOLD, predict
from brainseg.runs.provenance import CODE

CLEAN = "as it is"


def robustness(request: Request) -> Path:
    """Score runs under every kind and level of corruption; write a folder, whole or not at all.

    The scans' own slices are made worse, and prepared anew: nothing of the cache is used.

    Returns:
        The page.

    Raises:
        ValueError: as `evaluate`.
    """
    folds = opened(request)
    out = replace(request, out=request.folder.with_name(f"{request.folder.name}-corrupt"))
    with claimed(out.folder) as folder:
        table = pd.DataFrame(row for of in folds for row in _scored(of, request))
        figure = drawn(table)
        figure.savefig(folder / "robustness.png", dpi=150)
        table.to_csv(folder / "robustness.csv", index=False)
        (folder / "robustness.md").write_text(page(table, request), encoding="utf-8")
        known = {**CODE, "command": request.command, "runs": [str(run) for run in request.runs]}
        card = {"about": known, "figures": ["robustness"], "dice": _means(table).to_dict("index")}
        (folder / CARD).write_text(json.dumps(card, indent=1))
    return out.folder / "robustness.md"


def _scored(of: Opened, request: Request) -> Iterator[dict[str, Any]]:
    """A row of each patient, region, kind and level."""
    scans, index = of.scans[0], of.scans[0].index.iloc[of.rows]
    files = {patient.name: patient for patient in scans.reader.find(scans.root).patients}
    grades = [(CLEAN, 0), *((kind, level) for kind in KINDS for level in LEVELS)]
    names = index["patient"].unique()
    bar = tqdm(total=len(names) * len(grades), desc="corrupting", unit="volume", disable=None)
    for name, group in index.groupby("patient", sort=False):
        patient = files[str(name)]
        wanted = set(group["slice"])
        others = [k for k, number in enumerate(patient.slices) if number not in wanted]
        images, *_ = scans.reader.read(patient.without(others))
        target = scans.original_masks(group.index.to_numpy(np.int64))
        for kind, level in grades:
            worse = corrupted(images, kind, level, str(name)) if level else images
            probs = _mean(of, worse, tta=request.tta)
            for k, region in enumerate(scans.regions):
                counts = count_slices(probs[k] > THRESHOLD, target[:, k]).sum(0)
                dice = float(scores(counts)["dice"])
                row = {"kind": kind, "level": level, "patient": name, "region": region}
                yield row | {"dice": dice}
            bar.update()
    bar.close()


def _mean(of: Opened, images: Any, *, tta: bool) -> Any:
    """The mean probability of runs, each on slices prepared as its own were."""
    pairs: Sequence[tuple[Any, Scans]] = list(zip(of.runs, of.scans, strict=True))
    each = [predict([run.model], images, own.preprocessing, tta=tta) for run, own in pairs]
    return np.mean(each, axis=0)


def _means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice over patients and regions: a row a kind, a column a level, 0 as they are."""
    means = table.groupby(["kind", "level"], sort=False)["dice"].mean()
    clean = float(means[CLEAN, 0])
    found = means.drop(CLEAN).unstack("level")
    found.insert(0, 0, clean)
    return found.loc[list(KINDS)]


def drawn(table: pd.DataFrame) -> Figure:
    """Mean Dice against level, a line a kind."""
    figure, (axis,) = canvas(6.4, 4.4)
    for number, (kind, row) in enumerate(_means(table).iterrows()):
        axis.plot(
            row.index, row.to_numpy(), color=colour(number), marker=marker(number), label=str(kind)
        )
    axis.set(xlabel="level (0: the scans as they are)", ylabel="mean Dice by patient", ylim=(0, 1))
    axis.set_xticks([0, *LEVELS])
    axis.set_title(f"Scans made worse, {table['patient'].nunique()} patients")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def page(table: pd.DataFrame, request: Request) -> str:
    """The table as Markdown: what each level costs, with intervals over patients."""
    patients = table["patient"].nunique()
    by_patient = table.groupby(["kind", "level", "patient"])["dice"].mean()
    clean = by_patient[CLEAN, 0]
    lines = [
        f"# Robustness of {', '.join(run.resolve().name for run in request.runs)}",
        "",
        f"Dice by patient of {patients} patients ({request.split}, {request.checkpoint} epoch) "
        f"as they are: {clean.mean():.3f}. Below, what is left of it under each kind and level, "
        "and in brackets the 95 % interval, by bootstrap over patients, of what level 5 costs.",
        "",
        "| kind | levels 1 to 5 | " + " | ".join(map(str, LEVELS)) + " | level 5 costs |",
        "| --- " * (len(LEVELS) + 3) + "|",
    ]
    for kind, row in _means(table).iterrows():
        own = KINDS[str(kind)]
        lost = mean((clean - by_patient.loc[(str(kind), LEVELS[-1])]).to_numpy()).estimate()
        between = "" if lost.low is None else f" ({lost.low:.3f} to {lost.high:.3f})"
        strengths = ", ".join(f"{each:g}" for each in own.strengths)
        values = " | ".join(f"{row[level]:.3f}" for level in LEVELS)
        lines.append(f"| {kind} | {own.unit}: {strengths} | {values} | {lost.value:.3f}{between} |")
    date = datetime.now(UTC).isoformat(timespec="seconds")
    lines += ["", "![Mean Dice against level](robustness.png)", ""]
    lines += [f"`{request.command}`, {date}; robustness.csv has every patient and region.", ""]
    return "\n".join(lines)
