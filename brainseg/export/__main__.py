"""`python -m brainseg.export RUN --out DIR`: a trained run as weights to give away."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

CUSTOM = "as the scans that they were trained on: see the data's own licence"


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, or 2 after one line that says what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m brainseg.export",
        description="Write the best checkpoint of a finished run as model.safetensors and "
        "model.json, which need no pickle: `python -m brainseg.predict SCAN --weights DIR`.",
        epilog="example: python -m brainseg.export outputs/mine --out mine-weights",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--to", choices=("weights",), default="weights", help="(%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--licence", default=CUSTOM, help="of the weights (%(default)s)")
    options = parser.parse_args(words)
    try:
        from brainseg.predict.published import publish

        card = publish(options.run, options.out, licence=options.licence)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{options.out}  sha256 {card['sha256']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
