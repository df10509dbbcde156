"""`python -m brainseg.evaluate RUN [RUN ...]`: the metric card of runs, folds or an ensemble."""

import argparse
import logging
import math
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from brainseg.evaluate.evaluation import evaluate
from brainseg.evaluate.interval import Estimate
from brainseg.evaluate.measure import Rules
from brainseg.evaluate.request import Request
from brainseg.evaluate.robustness import robustness

BAD_INPUT, INTERRUPTED = 2, 130
# keys of the data that --data cannot choose: they are the run's own, and all slices are scored
OF_THE_RUN = ("size", "crop", "denoise", "intensity", "head", "modalities", "slices")
TOLERANCE = 2.0


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, or 2 after one line that says what is wrong."""
    given = list(sys.argv[1:] if words is None else words)
    options = _understood(given)
    request = _request(options, given)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    card_page = request.folder / "card.md"
    try:
        if options.corrupt:
            sys.stdout.write(f"{robustness(request)}\n")
            return 0
        cards = evaluate(request)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was written\n")
        return INTERRUPTED
    lines = [
        f"Dice by patient{f', {name}' if len(cards) > 1 else ''} "
        + _text(card.overlap["patient"]["dice"])
        for name, card in cards.items()
    ]
    where = os.fsencode(card_page).decode(errors="backslashreplace")
    sys.stdout.write("\n".join([*lines, where, ""]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m brainseg.evaluate",
        description="Score a finished run, or several, on the original pixels: overlap, borders, "
        "volume, lesions, false alarms, calibration, with intervals, tables and pictures. Runs of "
        "one split are an ensemble: their mean probability; the folds of one recipe score each its "
        "own test patients, for one card out of fold.",
        epilog="example: python -m brainseg.evaluate outputs/mine --split test --tta",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--split", choices=("train", "val", "test", "all"), default="test", help="(%(default)s)"
    )
    parser.add_argument(
        "--checkpoint", choices=("best", "last"), default="best", help="(%(default)s)"
    )
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="score other scans, in the same layout"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="WORD",
        help="score another data set, such as data=brats2020 data.root=/brats data.regions=[wt]: "
        "prepared as the run's own, sequences by their names; patients of both are refused",
    )
    parser.add_argument(
        "--allow-seen",
        action="store_true",
        help="with --root or --data, score patients that were trained or validated on, too",
    )
    parser.add_argument("--tta", action="store_true", help="average over flips")
    parser.add_argument(
        "--corrupt",
        action="store_true",
        help="instead of the card: Dice under blur, bias field, noise, ghosting, thick slices, low "
        "matrix and other intensities, at five levels, into ...-corrupt",
    )
    parser.add_argument(
        "--tolerance",
        type=_not_negative,
        default=TOLERANCE,
        metavar="N",
        help="of the surface Dice, in pixels, and in 3D in mm (%(default)g)",
    )
    parser.add_argument(
        "--spacing",
        nargs=3,
        type=_positive,
        metavar=("SLICE", "ROW", "COLUMN"),
        help="in mm, for scores in 3D; the files of LGG do not tell it",
    )
    parser.add_argument(
        "--skip-faulty", action="store_true", help="leave damaged slices out instead of stopping"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to write (RUN/evaluate/SPLIT-CHECKPOINT, for several runs of the first with "
        "-of-N-runs); an evaluation there is replaced, anything else refused",
    )
    return parser


def _understood(words: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(words)
    if other := [word for word in options.data if not word.startswith(("data=", "data."))]:
        parser.error(f"--data {other[0]}: is not of the data; give data=... and data.KEY=... alone")
    kept = tuple(f"data.{key}=" for key in OF_THE_RUN)
    if own := [word for word in options.data if word.startswith(kept)]:
        parser.error(f"--data {own[0]}: the scans are prepared as the run's own were; leave it out")
    if options.data and not any(word.startswith("data=") for word in options.data):
        parser.error("--data names no data set; give data=brats2020, say")
    if options.root and options.data:
        parser.error("--root beside --data: give data.root=DIR")
    if options.corrupt and (options.spacing or options.tolerance != TOLERANCE):
        parser.error("--spacing and --tolerance are of the card: leave them out with --corrupt")
    return options


def _request(options: argparse.Namespace, words: Sequence[str]) -> Request:
    spacing = tuple(options.spacing) if options.spacing else None
    return Request(
        runs=tuple(options.runs),
        split=options.split,
        checkpoint=options.checkpoint,
        root=options.root,
        data=tuple(options.data),
        tta=options.tta,
        allow_seen=options.allow_seen,
        rules=Rules(tolerance=options.tolerance, spacing=spacing),
        out=options.out,
        skip_faulty=options.skip_faulty,
        command=shlex.join(["python", "-m", "brainseg.evaluate", *words]),
    )


def _text(dice: Estimate) -> str:
    if dice.low is None or dice.high is None:
        return f"{dice.value:.3f} ({dice.note})"
    return f"{dice.value:.3f} (95 % interval {dice.low:.3f} to {dice.high:.3f})"


def _not_negative(word: str) -> float:
    return _number(word, "a number >= 0", lambda value: value >= 0)


def _positive(word: str) -> float:
    return _number(word, "a number > 0", lambda value: value > 0)


def _number(word: str, rule: str, good: Callable[[float], bool]) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and good(value)):
        raise argparse.ArgumentTypeError(f"{word} must be {rule}")
    return value


if __name__ == "__main__":
    sys.exit(main())
