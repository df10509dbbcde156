"""`python -m brainseg.report SWEEP [SWEEP ...]`: the answer of a sweep, from its cells' files."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from brainseg.report.write import report


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, or 2 where no report can be made."""
    options = _parser().parse_args(words)
    command = "python -m brainseg.report " + shlex.join(sys.argv[1:] if words is None else words)
    try:
        answer, absent, page = report(options.sweep, out=options.out, command=command)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for line in absent:
        sys.stderr.write(f"{line}\n")
    sys.stdout.write(f"{answer}\n{page}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m brainseg.report",
        description="Which configuration is best, by how much, and is it more than chance.",
    )
    parser.add_argument("sweep", type=Path, nargs="+", metavar="SWEEP", help="multirun/NAME")
    parser.add_argument("--out", type=Path, help="folder to write to (default: SWEEP/report)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
