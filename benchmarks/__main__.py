"""`python -m benchmarks`: the table of ratios that `make bench` prints."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.row import Row
from benchmarks.scale import FULL, ON_GPU, QUICK, Scale
from benchmarks.table import as_json, conditions, table

SECTIONS = (
    "start",
    "jobs",
    "busy",
    "step",
    "networks",
    "data",
    "scoring",
    "cache",
    "memory",
    "predict",
    "peers",
)
LONG = {"quality": "takes 25 minutes; measure it alone with --only quality"}
WIDTH = 200  # where the output is no terminal


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this machine: ours beside the plain loop, the peers and the limits.",
        epilog="Example: python -m benchmarks --only step data --json bench.json",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*SECTIONS, *LONG],
        default=[],
        metavar="NAME",
        help=f"measure only some of: {', '.join([*SECTIONS, *LONG])}",
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    chosen = parser.parse_args(arguments)
    full = ON_GPU if torch.cuda.is_available() else FULL
    sections = chosen.only or [*SECTIONS, *(LONG if chosen.quick else ())]
    rows = measure(sections, QUICK if chosen.quick else full)
    left_out = () if chosen.only or chosen.quick else LONG.items()
    rows += [Row(name, "", skipped=why) for name, why in left_out]
    given = sys.argv[1:] if arguments is None else arguments
    below = conditions(shlex.join(["python", "-m", "benchmarks", *given]))
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    console.print(table(rows))
    for name, text in below.items():
        console.print(f"{name}: {text}", soft_wrap=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({"rows": [as_json(r) for r in rows], **below}, indent=1))


def measure(sections: Sequence[str], scale: Scale) -> list[Row]:
    """The rows of some sections; says each on stderr as soon as it is measured."""
    progress = Console(stderr=True, highlight=False)
    rows: list[Row] = []
    for number, name in enumerate(sections, 1):
        start = time.monotonic()
        progress.print(f"{number} of {len(sections)}: {name} ...")
        for row in import_module(f"benchmarks.{name}").rows(scale):
            progress.print(f"  {row}", soft_wrap=True)
            rows.append(row)
        progress.print(f"  {time.monotonic() - start:.0f} s")
    return rows


if __name__ == "__main__":
    main()
