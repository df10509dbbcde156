"""How far the cells of a sweep have come, read from their folders while they are trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from brainseg.runs.folder import RunFolder, State
from brainseg.sweep.manifest import Listed, Manifest

OVER = ("finished", "failed", "broken")  # the states in which nothing is left to train


@dataclass(frozen=True)
class Progress:
    """How far one cell has come.

    Attributes:
        name: of its folder.
        cell: as its sweep lists it.
        state: as of `runs.folder.RunFolder.state`.
        epoch: epochs trained.
        dice: `val/dice` of the last of them, at the network's size; None before the first.
        best: the highest of them; of a finished cell that of its best epoch on the original pixels.
        per_epoch: mean seconds an epoch.
        outside: seconds of start and scoring; None unless finished.
        reason: why it failed, or is broken.
    """

    name: str
    cell: Listed
    state: State
    epoch: int = 0
    dice: float | None = None
    best: float | None = None
    per_epoch: float | None = None
    outside: float | None = None
    reason: str = ""


def progress(manifest: Manifest) -> list[Progress]:
    """Every cell of a sweep, in its order."""
    return [_of(RunFolder(manifest.folder / name), cell) for name, cell in manifest.cells.items()]


def seconds_left(cells: Sequence[Progress]) -> float | None:
    """Seconds until the last cell is trained; None where none is measured.

    As many are taken to be trained side by side as run now, at least one.
    """
    running: list[float] = []
    waiting: list[float] = []
    for each in cells:
        if each.state in OVER:
            continue
        seconds = seconds_for(each, _epochs_left(each, cells), cells)
        if seconds is None:
            return None
        (running if each.state == "running" else waiting).append(seconds)
    ends = running or [0.0]
    for seconds in waiting:
        ends[ends.index(min(ends))] += seconds
    return max(ends)


def seconds_for(each: Progress, epochs: int, cells: Sequence[Progress]) -> float | None:
    """Seconds of so many epochs of a cell, its start and scoring; None where none is measured.

    An epoch takes what it took in the cell itself, else in those of the same norm and loss, else
    in all; the same for start and scoring.
    """
    per_epoch = each.per_epoch or _mean(cells, each, lambda other: other.per_epoch)
    if per_epoch is None:
        return None
    return epochs * per_epoch + (_mean(cells, each, lambda other: other.outside) or 0.0)


def _of(there: RunFolder, cell: Listed) -> Progress:
    own = Progress(there.name, cell, there.state, reason=there.reason)
    if there.state == "broken":
        return own
    if there.history:
        dice = [row["val/dice"] for row in there.history]
        seconds = fmean(row["seconds"] for row in there.history)
        own = replace(own, epoch=len(dice), dice=dice[-1], best=max(dice), per_epoch=seconds)
    if (metrics := there.metrics) is None:
        return own
    seconds = metrics["seconds"]
    return replace(
        own,
        epoch=int(metrics["epochs"]),
        best=there.dice,
        per_epoch=seconds["epochs"] / metrics["epochs"],
        outside=seconds["start"] + seconds["scoring"],
    )


def _epochs_left(each: Progress, cells: Sequence[Progress]) -> int:
    """Epochs still to train, less those that a shorter cell passes on to one not yet begun."""
    begun = each.epoch
    shorter = next((other for other in cells if other.name == each.cell.continues), None)
    if (
        shorter
        and not begun
        and shorter.state not in ("failed", "broken")
        and each.state != "running"
    ):
        begun = each.cell.begins
    return max(0, each.cell.epochs - begun)


def _mean(
    cells: Sequence[Progress], like: Progress, value: Callable[[Progress], float | None]
) -> float | None:
    """Mean of what is known of the cells with the same norm and loss, else of all."""
    known = {other.name: known for other in cells if (known := value(other)) is not None}
    same = [
        known[other.name]
        for other in cells
        if other.name in known
        and (other.cell.norm, other.cell.loss) == (like.cell.norm, like.cell.loss)
    ]
    return fmean(same or known.values()) if known else None
