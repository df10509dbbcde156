"""Figures of comparisons, curves and patients."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from brainseg.figures.style import GREY, MAP, canvas, colour, ends, legend, marker
from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration
from brainseg.report.curves import curves
from brainseg.report.patients import matrix

MOST = 20  # rows that a figure can hold
MOST_FACTORS = 3


def leads(comparisons: Sequence[Comparison], winner: str) -> Figure | None:
    """The winner's lead over each other configuration with its interval; filled: beyond noise."""
    shown = [each for each in comparisons if each.patients][:MOST]
    if not shown:
        return None
    longest = max(len(each.second) for each in shown)
    figure, (axis,) = canvas(4.5 + 0.08 * longest, 1.1 + 0.36 * len(shown))
    axis.axvline(0, color=GREY, linewidth=1)
    for place, each in enumerate(shown):
        value = each.difference
        errors = ends(value)
        clear = each.verdict in ("ahead", "behind")
        face = colour(0) if clear else "white"
        axis.errorbar(value.mean, place, xerr=errors, fmt="o", color=colour(0), mfc=face, capsize=3)
    axis.set_yticks(range(len(shown)), [each.second for each in shown])
    axis.set_ylim(len(shown) - 0.5, -0.5)  # the first above, whole
    axis.set_xlabel(f"test Dice of {winner} less that of the other, 95 % interval", fontsize=9)
    return figure


def learning(configurations: Sequence[Configuration], factors: Sequence[str]) -> Figure | None:
    """Learning curves by level of each factor: val solid, train dashed, band from seed to seed."""
    shown = [
        factor for factor in factors[:MOST_FACTORS] if curves(configurations, factor, "val/dice")
    ]
    if not shown:
        return None
    figure, axes = canvas(5.0 * len(shown), 3.6, len(shown))
    for axis, factor in zip(axes, shown, strict=True):
        _learn(axis, configurations, factor)
    return figure


def patients(configurations: Sequence[Configuration]) -> Figure | None:
    """Test Dice of each patient (rows, hardest first) in each configuration (val order)."""
    table = matrix(configurations)
    if table.empty:
        return None
    ordered = table.loc[table.mean(axis=1).sort_values().index][:40]
    width = min(12.0, 3.2 + 0.35 * ordered.shape[1])
    figure, (axis,) = canvas(width, 1.2 + 0.2 * len(ordered))
    drawn = axis.imshow(ordered.to_numpy(dtype=float), cmap=MAP, vmin=0, vmax=1, aspect="auto")
    axis.set_yticks(range(len(ordered)), [str(name) for name in ordered.index], fontsize=7)
    places = range(0, ordered.shape[1], -(-ordered.shape[1] // 30))
    axis.set_xticks(places, [str(place + 1) for place in places])
    axis.set_xlabel("configuration, by its place on val")
    axis.grid(visible=False)
    figure.colorbar(drawn, ax=axis, label="test Dice", fraction=0.05)
    return figure


def groups(table: pd.DataFrame) -> Figure | None:
    """Mean test Dice by subgroup: of the winner, and over all configurations."""
    first = ("institution", "tumour size", "missing sequence")
    shown = table[table["about"].isin(first)]
    if shown.empty:
        return None
    figure, (axis,) = canvas(7, 1.0 + 0.32 * len(shown))
    places = np.arange(len(shown))
    axis.plot(shown["winner"], places, marker(0), color=colour(0), label="winner")
    axis.plot(
        shown["all"], places, marker(1), color=colour(1), mfc="white", label="all configurations"
    )
    names = [f"{r.about} {r.level} (n = {r.patients})" for r in shown.itertuples()]
    axis.set_yticks(places, names)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel("mean test Dice by patient")
    legend(axis)
    return figure


def _learn(axis: Axes, configurations: Sequence[Configuration], factor: str) -> None:
    for column, line in (("val/dice", "-"), ("train/dice", "--")):
        for number, (level, band) in enumerate(curves(configurations, factor, column).items()):
            epochs = np.arange(1, len(band.mean) + 1)
            label = level if line == "-" else None
            (drawn,) = axis.plot(epochs, band.mean, line, color=colour(number), label=label)
            drawn.set_zorder(3 - number / 100)  # 50 epochs lie on those of 100 that continue them
            if line == "-":
                axis.fill_between(epochs, band.low, band.high, color=colour(number), alpha=0.15)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="epoch", ylabel="Dice (val solid, train dashed)")
    legend(axis, factor)
