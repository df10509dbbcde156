"""`python -m brainseg.predict SCAN ...`: a mask for every scan, on its own grid."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from brainseg.errors import INTERRUPTED, terminable

DONE, SOME_FAILED, USAGE = 0, 1, 2

_EPILOG = """\
examples:
  python -m brainseg.predict scan.nii.gz
  python -m brainseg.predict FOLDER --out masks --preview
  python -m brainseg.predict --flair f.nii.gz --pre a.nii.gz --post b.nii.gz
  python -m brainseg.predict scan.tif --weights multirun/paper/group-dice-e50-s0 --tta

Sequences are told by name: by flag, or by the ending of a file's name (_flair _t1 _t1ce, -t2f -t1n
-t1c, _FLAIR _T1w _ce-gd_T1w). FLAIR is needed; it stands in for what is missing. A volume or a grey
picture without such an ending is FLAIR; a picture with three channels is pre, FLAIR, post. Weights
of other channels know files that end in a channel's name (..._adc), take a lone scan as their only
one, and the channels of a picture in their order.
Weights of several regions write CASE_labels, in their training's numbers, and CASE_REGION_mask.
Exit status: 0 all done, 1 some cases failed and the others are written, 2 wrong usage or nothing to
do, 130 interrupted. For research only: not a medical device."""


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(words)
    given = sys.argv[1:] if words is None else list(words)
    try:
        with terminable():
            from brainseg.predict.run import run  # imports torch: `--help` is there at once

            return DONE if run(options, given) else SOME_FAILED
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; finished masks are kept; go on with --resume\n")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m brainseg.predict",
        description="Segment new scans (NIfTI, DICOM, PNG, JPEG, TIFF) with trained weights.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("paths", nargs="*", type=Path, metavar="SCAN", help="file, or folder of files")
    for name in ("flair", "pre", "post", "t2"):
        add(f"--{name}", type=Path, metavar="FILE", help=f"{name} of one case: NIfTI, DICOM folder")
    add(
        "--weights",
        nargs="+",
        type=Path,
        default=[],
        metavar="RUN",
        help="run folder, checkpoint, or published weights; of several the mean probability is "
        "taken (those that come along, trained on LGG)",
    )
    add("--out", type=Path, default=Path("masks"), metavar="DIR", help="(%(default)s)")
    add("--threshold", type=_share, metavar="P", help="on probability (the weights' own)")
    add(
        "--tta",
        action=argparse.BooleanOptionalAction,
        help="average over flips: four times as long (as the weights' scores were measured)",
    )
    add("--probabilities", action="store_true", help="write these too")
    add("--preview", action="store_true", help="a PNG of each case")
    add("--resample", action="store_true", help="bring sequences onto FLAIR's grid")
    add(
        "--order",
        nargs="+",
        default=[],
        metavar="SEQUENCE",
        help="the sequences that volumes called ..._0000, ..._0001 are, or those along the last "
        "axis of a file: flair pre post t2, or the weights' own channels",
    )
    add("--statistics", action="store_true", help="write statistics.csv, a row of each case")
    add("--dicom-seg", action="store_true", help="also DICOM-SEG of DICOM scans (needs highdicom)")
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(%(default)s)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="leave what is done as it is")
    again.add_argument(
        "--force",
        action="store_true",
        help="segment all again; files of the earlier call that are not written anew are removed",
    )
    return parser


def _share(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{word} must be above 0 and below 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
