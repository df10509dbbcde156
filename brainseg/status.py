"""`python -m brainseg.status SWEEP`: how far a sweep is, from another terminal."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from brainseg.files import held
from brainseg.logs import clock
from brainseg.sweep.manifest import LOCK, Manifest, read
from brainseg.sweep.progress import OVER, Progress, progress, seconds_left
from brainseg.sweep.table import ALWAYS_SHOWN, text

_COLOURS = {
    "finished": "green",
    "running": "cyan",
    "failed": "red",
    "broken": "red",
    "interrupted": "yellow",
}
_WAITING = {"new": "waiting"}
_CLEAR = "\x1b[H\x1b[2J"


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, or 2 where there is nothing to show."""
    options = _parser().parse_args(words)
    try:
        while _show(options.sweep, clear=options.watch is not None and sys.stdout.isatty()):
            if options.watch is None:
                break
            time.sleep(options.watch)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def table(cells: Sequence[Progress]) -> Table:
    """A row per cell, in the order of training."""
    varied = list(dict.fromkeys(key for each in cells for key in each.cell.varied))
    shown = Table(
        *(*ALWAYS_SHOWN, *varied),
        *("state", "epoch", "val Dice", "best", "s/epoch", "time", "folder"),
        caption="val Dice: mean over patients, at the network's size; best: the highest so far, "
        "of a finished cell that of its best epoch on the original pixels.",
    )
    for each in cells:
        cell, state = each.cell, _WAITING.get(each.state, str(each.state))
        why = f"refused: {cell.refused}" if cell.refused else each.reason
        state = f"{state}: {why}" if why else state
        shown.add_row(
            *(cell.norm, cell.loss, str(cell.epochs), str(cell.seed)),
            *(Text(cell.varied.get(key, "")) for key in varied),
            Text(state, style=_COLOURS.get(each.state, "")),
            _epoch(each),
            *(_number(each.dice, ".3f"), _number(each.best, ".3f")),
            _number(each.per_epoch, ".1f"),
            clock(_spent(each)) if each.per_epoch is not None else "",
            each.name,
        )
    return shown


def summary(cells: Sequence[Progress], manifest: Manifest) -> list[str]:
    """The state of the sweep in a line, and how to go on where no process is at it."""
    count = Counter(each.state for each in cells)
    parts = [f"{count['finished']} of {len(cells)} cells finished"]
    parts += [f"{count[s]} {s}" for s in ("running", "failed", "broken", "interrupted") if count[s]]
    if count["new"]:
        parts.append(f"{count['new']} to go")
    line = ", ".join(parts)
    if _open(cells):
        left = seconds_left(cells)
        line += "; time left unknown" if left is None else f"; about {clock(left)} left"
    if count["finished"] == len(cells) or count["running"] or held(manifest.folder / LOCK):
        return [line]
    command = manifest.command or "the command that started it"
    return [line, f"no process is at it now; resume with: {command}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m brainseg.status",
        description="Show how far a sweep, or a single run, has come: from any terminal, at any "
        "time, without disturbing it.",
        epilog="example: python -m brainseg.status multirun/grid --watch 10",
    )
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="folder: multirun/NAME")
    parser.add_argument(
        "--watch",
        type=_positive,
        metavar="SECONDS",
        help="show it again every so many seconds, until no cell is left to train",
    )
    return parser


def _positive(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{word} must be a number of seconds > 0")
    return seconds


def _show(sweep: Path, clear: bool) -> bool:
    """Print the table and the summary once; whether a cell is left to train."""
    manifest = read(sweep)
    cells = progress(manifest)
    lines = "\n".join(summary(cells, manifest))
    # in one piece, so that a watched table does not flicker
    sys.stdout.write(f"{_CLEAR if clear else ''}{text(table(cells))}\n{lines}\n")
    sys.stdout.flush()
    return _open(cells)


def _open(cells: Sequence[Progress]) -> bool:
    return any(each.state not in OVER for each in cells)


def _epoch(each: Progress) -> str:
    early = each.state == "finished" and each.epoch < each.cell.epochs
    return f"{each.epoch} of {each.cell.epochs}" + (", stopped early" if early else "")


def _spent(each: Progress) -> float:
    return each.epoch * (each.per_epoch or 0.0) + (each.outside or 0.0)


def _number(value: float | None, spec: str) -> str:
    return "" if value is None else format(value, spec)


if __name__ == "__main__":
    sys.exit(main())
