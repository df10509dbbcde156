"""Figures of factors: heat map and marginal effects."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brainseg.figures.style import GREY, MAP, canvas, colour, ends, marker
from brainseg.report.configurations import Configuration
from brainseg.report.effects import Effect
from brainseg.report.factors import level_order

MOST = 6  # factors that a figure can hold
_WIDEST = 14.0  # inches


def heat_map(configurations: Sequence[Configuration], factors: Sequence[str]) -> Figure | None:
    """Mean test Dice over two factors, in a panel for each level of the third; None without two.

    Over further factors it is the mean. An empty field was not trained.
    """
    if len(factors) < 2:
        return None
    down, across, *more = factors
    panels = _levels(configurations, more[0]) if more else [""]
    rows, columns = _levels(configurations, down), _levels(configurations, across)
    grids = [
        _grid(configurations, {down: rows, across: columns}, {more[0]: panel} if more else {})
        for panel in panels
    ]
    low, high = np.nanmin(grids), np.nanmax(grids)
    width, height = max(3.0, 1.1 + 0.95 * len(columns)), 1.3 + 0.55 * len(rows)
    beside = min(len(panels), max(1, int(_WIDEST / width)))
    below = -(-len(panels) // beside)
    figure, axes = canvas(width * beside, height * below, beside, below)
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis, panel, grid in zip(axes, panels, grids, strict=False):
        axis.imshow(grid, cmap=MAP, vmin=low, vmax=high, aspect="auto")
        axis.grid(visible=False)
        axis.set_xticks(range(len(columns)), columns)
        axis.set_yticks(range(len(rows)), rows)
        axis.set(xlabel=across, ylabel=down, title=f"{more[0]} {panel}" if more else "")
        _numbers(axis, grid, (low + high) / 2)
    return figure


def marginal(effects: Sequence[Effect]) -> Figure | None:
    """Mean test Dice of each level of each factor, its 95 % interval, and each seed's mean."""
    shown = [each for each in effects if each.means][:MOST]
    if not shown:
        return None
    rows = sum(len(each.means) for each in shown)
    figure, (axis,) = canvas(7, 1.0 + 0.36 * rows + 0.3 * len(shown))
    ticks: list[tuple[float, str]] = []
    place = 0.0
    for number, each in enumerate(shown):
        for level, value in each.means.items():
            axis.errorbar(
                value.mean,
                place,
                xerr=ends(value),
                fmt=marker(number),
                color=colour(number),
                capsize=3,
            )
            seeds = each.seeds[level]
            if len(seeds) > 1:
                axis.plot(seeds, [place + 0.22] * len(seeds), "|", color=GREY, markersize=8)
            ticks.append((place, f"{each.factor} {level}"))
            place += 1
        place += 0.6
    axis.set_yticks([at for at, _ in ticks], [text for _, text in ticks])
    axis.invert_yaxis()
    several = any(len(seeds) > 1 for each in shown for seeds in each.seeds.values())
    key = "; | is a seed" if several else ""
    axis.set_xlabel(f"mean test Dice by patient, 95 % interval{key}")
    return figure


def _grid(
    configurations: Sequence[Configuration],
    levels: dict[str, list[str]],
    fixed: dict[str, str],
) -> NDArray[np.float64]:
    """Mean test Dice at each two levels of two factors; nan where none was trained."""
    (first, rows), (second, columns) = levels.items()
    grid = np.full((len(rows), len(columns)), np.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            wanted = {first: row, second: column} | fixed
            means = [
                each.mean
                for each in configurations
                if wanted.items() <= each.levels.items() and each.mean is not None
            ]
            if means:
                grid[i, j] = np.mean(means)
    return grid


def _numbers(axis: Axes, grid: NDArray[np.float64], middle: float) -> None:
    for (i, j), value in np.ndenumerate(grid):
        shown = "–" if np.isnan(value) else f"{value:.3f}"
        shade = "black" if np.isnan(value) or value > middle else "white"
        axis.text(j, i, shown, ha="center", va="center", color=shade)


def _levels(configurations: Sequence[Configuration], factor: str) -> list[str]:
    return level_order(factor, [each.levels[factor] for each in configurations])
