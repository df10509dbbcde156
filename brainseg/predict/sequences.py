"""Which file is which sequence: by its name, never by its position.

The dialects in use: BraTS up to 2021 (`_flair _t1 _t1ce _t2`), BraTS since 2023 (`-t2f -t1n -t1c
-t2w`), BIDS (`_FLAIR _T1w _ce-gd_T1w`), and this package's own `_pre _flair _post`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ENDINGS = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
_DIALECTS = {
    "post": r"t1ce|t1c|t1gd|t1post|post|ce-[a-z0-9]+_t1w",
    "pre": r"t1n|t1w|t1|pre",
    "flair": r"t2f|flair",
    "t2": r"t2w|t2",
}
_T1 = re.compile(r"(?i)t1|mprage|spgr|mpr")
_POST = re.compile(r"(?i)post|gad|gd|contrast|\+\s?c\b|c\s?\+|t1ce|t1c|\bce\b|\+ce|_ce")
_NUMBERED = re.compile(r"^(?P<case>.+)_(?P<number>\d{4})$")
_MASK = re.compile(r"(?i)(^|.*[_-])(mask|seg|segm|label)$")


@dataclass(frozen=True)
class Named:
    """What a file's name says.

    Attributes:
        case: the name without sequence and ending.
        sequence: pre, flair, post, t2, mask, or a channel; `numbered` where it is counted and no
            order is known; empty where the name says none of these.
        ending: as in `ENDINGS`, lower case; empty for any other.
    """

    case: str
    sequence: str
    ending: str


def named(path: Path, order: Sequence[str] = (), known: Sequence[str] = ()) -> Named:
    """What the name of a file says.

    Args:
        path: the file.
        order: the sequences of volumes whose names end in `_0000`, `_0001`, as nnU-Net has them.
        known: the weights' channels; an ending that no dialect has, such as `_adc`, is one of them.
    """
    ending = next((each for each in ENDINGS if path.name.lower().endswith(each)), "")
    stem = path.name[: len(path.name) - len(ending)]
    if _MASK.match(stem):
        return Named(stem, "mask", ending)
    if ending.startswith(".nii") and (counted := _NUMBERED.match(stem)):
        number = int(counted["number"])
        which = order[number] if number < len(order) else "numbered"
        return Named(counted["case"], which, ending)
    own = {each: re.escape(each) for each in known if each not in _DIALECTS}
    for sequence, words in (own | _DIALECTS).items():
        if found := re.match(rf"(?i)^(?P<case>.*?)(?:^|[_-])(?:{words})$", stem):
            return Named(found["case"] or path.parent.name, sequence, ending)
    return Named(stem, "", ending)


def described(description: str, *, contrast: bool = False) -> str:
    """What a series' description says; a T1 with a contrast agent in its header is post."""
    if _T1.search(description):
        pre = re.search(r"(?i)\bpre|_pre|-c\b", description)
        return "post" if not pre and (contrast or _POST.search(description)) else "pre"
    if re.search(r"(?i)flair", description):
        return "flair"
    return "t2" if re.search(r"(?i)t2", description) else ""
