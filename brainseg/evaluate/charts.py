"""Charts of an evaluation: numbers in, Figure out. No scan is shown."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from brainseg.evaluate import calibration
from brainseg.evaluate.average_precision import average_precision
from brainseg.evaluate.calibration import Histogram
from brainseg.evaluate.interval import Floats
from brainseg.figures.style import COLOURS, GREY, canvas, colour, marker

BLUE, ORANGE = COLOURS[:2]


def dice_histogram(patients: pd.DataFrame) -> Figure:
    """How many patients have which Dice, with mean and median."""
    figure, (axis,) = canvas(5.6, 4.2)
    dice = patients["dice"].to_numpy()
    axis.hist(dice, bins=np.linspace(0, 1, 21).tolist(), color=BLUE, edgecolor="white")
    for value, name, style in ((dice.mean(), "mean", "-"), (np.median(dice), "median", "--")):
        axis.axvline(value, color=ORANGE, linestyle=style, label=f"{name} {value:.3f}")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="Dice of the patient", ylabel="patients", xlim=(0, 1))
    axis.set_title(f"Dice by patient, {len(dice)} patients")
    axis.legend(loc="upper left")
    return figure


def dice_by_size(patients: pd.DataFrame) -> Figure:
    """Dice against tumour size, a point a patient, by institution."""
    figure, (axis,) = canvas(5.6, 4.2)
    for number, (institution, group) in enumerate(patients.groupby("institution")):
        axis.scatter(
            group["target"],
            group["dice"],
            color=colour(number),
            marker=marker(number),
            label=f"{institution} ({len(group)})".replace("$", r"\$"),  # no formula
            alpha=0.85,
        )
    if (patients["target"] == 0).any():
        axis.set_xscale("symlog")
    else:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(EngFormatter())
    axis.set(xlabel="tumour, pixels of all slices", ylabel="Dice", ylim=(-0.02, 1.02))
    axis.set_title("Dice by patient against tumour size")
    axis.figure.legend(
        title="institution (patients)", loc="outside lower center", ncols=4, frameon=False
    )
    return figure


def precision_recall(histogram: Histogram, best: float | None) -> Figure:
    """Precision against recall of all pixels together, with the thresholds that are in use."""
    figure, (axis,) = canvas(5.6, 4.2)
    precision, recall = calibration.precision_recall(histogram)
    area = average_precision(histogram.ranks).value
    axis.plot(recall, precision, color=BLUE, label=f"average precision {area:.3f}")
    share = calibration.prevalence(histogram)
    axis.axhline(share, color=GREY, linestyle=":", label=f"by chance {share:.3f}")
    _mark_thresholds(axis, recall, precision, best)
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axis.set_title("Precision and recall, all pixels together")
    axis.legend(loc="lower left")
    return figure


def reliability(histogram: Histogram) -> Figure:
    """Share of tumour against predicted probability, and how many pixels have it."""
    figure = Figure(figsize=(5.6, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    probs, share, pixels = calibration.reliability(histogram)
    error = calibration.calibration_error(histogram).value
    brier = calibration.brier(histogram).value
    upper.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfectly calibrated")
    upper.plot(probs, share, "o-", color=BLUE, label=f"ECE {error:.4f}, Brier score {brier:.4f}")
    upper.set(ylabel="share that is tumour", xlim=(0, 1), ylim=(0, 1))
    upper.set_title("Below the line: too sure of tumour", fontsize=10)
    upper.legend(loc="upper left")
    centres = (np.arange(calibration.BINS) + 0.5) / calibration.BINS
    lower.bar(centres, pixels, width=0.9 / calibration.BINS, color=BLUE)
    lower.set_yscale("log")
    lower.set(xlabel="predicted probability of tumour", ylabel="pixels")
    return figure


def threshold(histogram: Histogram, val: Histogram | None, split: str) -> Figure:
    """Mean Dice by patient against the threshold, on val and on what is scored."""
    figure, (axis,) = canvas(5.6, 4.2)
    dice = calibration.dice_by_threshold(histogram).mean(0)
    axis.plot(calibration.THRESHOLDS, dice, color=BLUE, label=f"scored here ({split})")
    axis.axvline(0.5, color=GREY, linestyle=":", label="0.5")
    if val is not None:
        best = calibration.THRESHOLDS[calibration.best_threshold(val)]
        on_val = calibration.dice_by_threshold(val).mean(0)
        axis.plot(calibration.THRESHOLDS, on_val, color=ORANGE, linestyle="--", label="val")
        axis.axvline(best, color=ORANGE, linestyle=":", label=f"best on val: {best:.3f}")
    axis.set(xlabel="threshold", ylabel="mean Dice by patient", xlim=(0, 1), ylim=(0, 1))
    axis.set_title("What another threshold would give")
    axis.legend(loc="lower center")
    return figure


def charts(
    patients: pd.DataFrame, histogram: Histogram, val: Histogram | None, split: str
) -> Mapping[str, Figure]:
    """All charts, by file name."""
    best = None if val is None else float(calibration.THRESHOLDS[calibration.best_threshold(val)])
    return {
        "dice-histogram": dice_histogram(patients),
        "dice-by-size": dice_by_size(patients),
        "precision-recall": precision_recall(histogram, best),
        "reliability": reliability(histogram),
        "threshold": threshold(histogram, val, split),
    }


def _mark_thresholds(axis: Axes, recall: Floats, precision: Floats, best: float | None) -> None:
    marks = {"threshold 0.5": (calibration.HALF, BLUE, "o")}
    if best is not None:
        where = int(np.abs(calibration.THRESHOLDS - best).argmin())
        marks[f"best on val, {best:.3f}"] = (where, ORANGE, "D")
    for label, (where, shade, shape) in marks.items():
        axis.plot(
            recall[where], precision[where], shape, color=shade, label=label, linestyle="none"
        )
