"""`python -m brainseg.export RUN --out DIR`: a trained run as weights to give away."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

_EPILOG = """\
examples:
  python -m brainseg.export outputs/mine --out mine-weights
  python -m brainseg.export multirun/weights --out lgg-weights

Of a run its best checkpoint is taken, with its own scores. Of a sweep over folds with a cell of
split=all beside them (experiment=weights), the last checkpoint of that cell in float16, with
threshold, temperature and scores from the folds: scored here, patient by patient, by folds that
have not seen them, as `predict` would segment them.
Exit status: 0 done, 2 wrong usage or a run that cannot be used."""


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0, or 2 after one line that says what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m brainseg.export",
        description="Write trained weights as model.safetensors and model.json, which need no "
        "pickle: `python -m brainseg.predict SCAN --weights DIR`.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a finished run, or a sweep over folds")
    add("--to", choices=("weights",), default="weights", help="(%(default)s)")
    add("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    add("--licence", help="of the weights (that of the scans, where it is known)")
    add("--force", action="store_true", help="replace weights that lie there")
    options = parser.parse_args(words)
    try:
        from brainseg.export.publish import publish

        card = publish(options.run, options.out, licence=options.licence, force=options.force)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{options.out}  sha256 {card['sha256']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
