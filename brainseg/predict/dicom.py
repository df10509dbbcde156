"""DICOM headers: which files are a series, in which order, of which sequence and study."""

import math
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from tqdm import tqdm

from brainseg.predict.dicom_elements import refuse_overlong
from brainseg.predict.marks import has_mark
from brainseg.predict.scan import FLAIR
from brainseg.predict.sequences import described

_STUDY, _SERIES, _DESCRIPTION = "0020|000d", "0020|000e", "0008|103e"
_POSITION, _AXES, _CONTRAST, _FRAMES = "0020|0032", "0020|0037", "0018|0010", "0028|0008"
_VOXELS = "voxels"  # no tag


@dataclass(frozen=True)
class Series:
    """One series, as its headers have it.

    Attributes:
        study: UID of the study.
        description: of the series, in the words of whoever scanned.
        sequence: pre, flair, post, t2 by that; empty where it says none of these.
        files: sorted from one end of the normal to the other.
        positions: along it, in mm; of a file of several frames there is none.
        axes: direction cosines of rows and columns, as each file has them.
        voxels: that the headers claim.
    """

    study: str
    description: str
    sequence: str
    files: tuple[Path, ...]
    positions: tuple[float, ...]
    axes: frozenset[str]
    voxels: int


@dataclass(frozen=True)
class Found:
    """What DICOM files hold.

    Attributes:
        series: all of them.
        left_out: files without an image, such as reports, and why nothing is read of them.
        damaged: files with an image that cannot be read, likewise.
    """

    series: list[Series]
    left_out: dict[Path, str]
    damaged: dict[Path, str]


def find_series(paths: Iterable[Path]) -> Found:
    """All series among DICOM files."""
    with quiet():
        return _find_series(paths)


@contextmanager
def quiet() -> Iterator[None]:
    """Without ITK's word to stderr for every odd header."""
    before = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(before)


def _find_series(paths: Iterable[Path]) -> Found:
    found: dict[str, list[tuple[float, Path, dict[str, str]]]] = {}
    left_out: dict[Path, str] = {}
    damaged: dict[Path, str] = {}
    for path in tqdm(list(paths), "reading DICOM headers", unit="file", delay=2, disable=None):
        if not has_mark(path):
            left_out[path] = "no DICOM, by its first bytes"
            continue
        try:
            image = refuse_overlong(path)
            tags = _tags(path)
            axes = np.array(_numbers(tags.get(_AXES, "1\\0\\0\\0\\1\\0")))
            normal = np.cross(axes[:3], axes[3:])
            along = float(normal @ _numbers(tags.get(_POSITION, "0\\0\\0")))
        except ValueError as error:
            damaged[path] = short(error)
            continue
        except RuntimeError as error:
            why = f"no image that can be read ({short(error)})"
            (damaged if image else left_out)[path] = why
            continue
        found.setdefault(tags.get(_SERIES, ""), []).append((along, path, tags))
    return Found([_series(files) for files in found.values()], left_out, damaged)


@dataclass(frozen=True)
class Studies:
    """What DICOM files hold, by study.

    Attributes:
        cases: name to sequence to files, in the order of the slices.
        left_out: path to why nothing is read of it.
        damaged: files with an image that cannot be read.
    """

    cases: dict[str, dict[str, list[Path]]]
    left_out: dict[str, str]
    damaged: list[Path]


def studies(files: Iterable[Path], root: Path, sequences: Collection[str]) -> Studies:
    """The sequences of every study among DICOM files.

    Args:
        files: below `root`.
        root: the folder that names the study, where there is one alone.
        sequences: those that are used.

    Raises:
        ValueError: two studies lie in folders of one name.
    """
    found = find_series(files)
    left_out = {str(path): why for path, why in found.left_out.items()}
    by_study: dict[str, list[Series]] = defaultdict(list)
    for each in found.series:
        by_study[each.study].append(each)
    cases: dict[str, dict[str, list[Path]]] = {}
    for study in by_study.values():
        known: dict[str, list[Path]] = {}
        for each in study:
            which = each.sequence or (FLAIR if len(study) == 1 else "")
            said = each.description or "without a description"
            if which not in sequences:
                left_out[str(each.files[0])] = f"series {said}: no sequence that is used"
            elif which in known:
                first = known[which][0]
                left_out[str(each.files[0])] = (
                    f"series {said}: {first} is {which} already; choose by --{which}"
                )
            else:
                known[which] = list(each.files)
        parents = {str(path.parent) for each in study for path in each.files}
        folder = root if len(by_study) == 1 else Path(os.path.commonpath(parents))
        name = folder.resolve().name
        if name in cases:
            raise ValueError(f"two studies are called {name}; segment them by calls of their own")
        cases |= {name: known} if known else {}
    return Studies(cases, left_out, list(found.damaged))


def _series(files: list[tuple[float, Path, dict[str, str]]]) -> Series:
    files.sort(key=lambda each: each[:2])
    first = files[0][2]
    description = first.get(_DESCRIPTION, "").strip()
    several = int(first.get(_FRAMES, "1") or 1) > 1
    return Series(
        first.get(_STUDY, ""),
        description,
        described(description, contrast=bool(first.get(_CONTRAST, "").strip())),
        tuple(path for _, path, _ in files),
        () if several else tuple(along for along, _, _ in files),
        frozenset(tags.get(_AXES, "") for _, _, tags in files),
        sum(int(tags[_VOXELS]) for _, _, tags in files),
    )


def _tags(path: Path) -> dict[str, str]:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    keys = (_STUDY, _SERIES, _DESCRIPTION, _POSITION, _AXES, _CONTRAST, _FRAMES)
    found = {key: reader.GetMetaData(key) for key in keys if reader.HasMetaDataKey(key)}
    return found | {_VOXELS: str(math.prod(reader.GetSize()))}


def _numbers(text: str) -> list[float]:
    return [float(each) for each in text.split("\\")]


def short(error: Exception) -> str:
    """The last line of what ITK says, which is the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:160] if lines else type(error).__name__
