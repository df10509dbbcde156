"""How every figure of a report looks: size, colours, and its two files."""

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainseg.statistics import Interval

# Okabe and Ito 2008: told apart with every common form of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MAP = "cividis"  # even in lightness, and the same to the colour-blind
GREY = "#595959"

_LOOK: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "path",  # looks the same whatever fonts the reader has
    "svg.hashsalt": "brainseg",  # the same figure gives the same file
    "font.family": "sans-serif",
}


def canvas(
    width: float, height: float, columns: int = 1, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure in inches with axes side by side, row by row."""
    with rc_context(_LOOK):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def colour(number: int) -> str:
    """The colour of the n-th series."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """The marker of the n-th series, so that no figure needs its colours to be read."""
    return MARKERS[number % len(MARKERS)]


def legend(axis: Axes, title: str = "") -> None:
    """A legend above the axes; matplotlib's search for the best place warns on a busy machine."""
    columns = min(3, max(1, len(axis.get_legend_handles_labels()[0])))
    axis.legend(
        title=title,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=columns,
        fontsize=8,
        title_fontsize=9,
        frameon=False,
    )


def ends(value: Interval) -> list[list[float]]:
    """An interval as matplotlib's error bars; rounding may put an end beyond the mean."""
    return [[max(0.0, value.mean - value.low)], [max(0.0, value.high - value.mean)]]


def save(figure: Figure, folder: Path, name: str) -> str:
    """Write `name.png` and `name.svg`; the SVG as text."""
    folder.mkdir(parents=True, exist_ok=True)
    with rc_context(_LOOK):
        figure.savefig(folder / f"{name}.png", dpi=130)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return (folder / f"{name}.svg").read_text(encoding="utf-8")
