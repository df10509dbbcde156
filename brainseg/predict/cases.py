"""What lies in files and folders: a case each, and a word on everything that is none."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from brainseg.data.folders import walk
from brainseg.predict import nifti, pictures
from brainseg.predict.scan import FLAIR, Scan
from brainseg.predict.sequences import Named, named

_NUMBERED = re.compile(r"^(?P<case>.+)_(?P<number>\d+)$")

_NOT_USED = {"mask": "a mask, by its name", "t2": "T2, which no network here knows"}


@dataclass(frozen=True)
class Case:
    """A case that is still to be read.

    Attributes:
        name: unique in a call.
        files: all of it, in the order of slices or by sequence.
        read: reads it; raises `ValueError` in one line.
    """

    name: str
    files: tuple[Path, ...]
    read: Callable[[], Scan]


def by_sequence(files: Mapping[str, Path], *, resample: bool) -> Case:
    """A case whose sequences are given by name."""
    return _volume(named(files[FLAIR]).case, files, resample)


def find(paths: Sequence[Path], *, resample: bool) -> tuple[list[Case], dict[str, str]]:
    """The cases in files and folders, and what was left out, path to reason.

    Args:
        paths: files, each a case of its own; folders, all files below them.
        resample: as in `nifti.read`.

    Raises:
        ValueError: a path does not exist, or two cases have one name.
    """
    cases: list[Case] = []
    left_out: dict[str, str] = {}
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path} does not exist; give a scan, or a folder of scans")
        if path.is_dir():
            for folder in walk(path):
                if folder.problem:
                    left_out[str(folder.path)] = folder.problem
                files = [folder.path / name for name in folder.files]
                here, others = _in_folder(files, resample)
                cases, left_out = cases + here, left_out | others
        else:
            cases.append(alone(path, resample=resample))
    names = [case.name for case in cases]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"two cases are called {', '.join(twice)}; segment them by calls of their own"
        )
    return cases, left_out


def alone(path: Path, *, resample: bool = False) -> Case:
    """A file that is a case by itself; what its name forbids is said when it is read."""
    said = named(path)
    if said.ending.startswith(".nii"):
        return _volume(said.case, {said.sequence or FLAIR: path}, resample)
    return Case(said.case, (path,), partial(_read_picture, said, path))


def _read_picture(said: Named, path: Path) -> Scan:
    if not said.ending:
        raise ValueError(f"{path} is no scan by its name; give NIfTI, PNG, JPEG or TIFF")
    if why := _no_picture(said):
        raise ValueError(f"{path} is {why}; give FLAIR, or a picture of three channels")
    return pictures.read(said.case, [path])


def _no_picture(said: Named) -> str:
    """Why a picture is not segmented; empty where it is."""
    known = {"": "", FLAIR: "", "mask": "a mask, by its name"}
    return known.get(said.sequence, f"a picture of {said.sequence} alone, by its name")


def _in_folder(files: Sequence[Path], resample: bool) -> tuple[list[Case], dict[str, str]]:
    left_out: dict[str, str] = {}
    volumes: dict[str, dict[str, Path]] = defaultdict(dict)
    slices: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    cases: list[Case] = []
    for path in files:
        said = named(path)
        numbered = _NUMBERED.match(said.case)
        if not said.ending:
            left_out[str(path)] = "no scan, by its name"
        elif said.ending.startswith(".nii") and said.sequence in _NOT_USED:
            left_out[str(path)] = _NOT_USED[said.sequence]
        elif said.ending.startswith(".nii"):
            sequence = said.sequence or FLAIR
            if sequence in volumes[said.case]:
                first = volumes[said.case][sequence]
                left_out[str(path)] = f"{first} is {sequence} of {said.case} already"
            else:
                volumes[said.case][sequence] = path
        elif why := _no_picture(said):
            left_out[str(path)] = why
        elif numbered:
            slices[numbered["case"]].append((int(numbered["number"]), path))
        else:
            cases.append(alone(path, resample=resample))
    cases += [_volume(name, found, resample) for name, found in volumes.items()]
    for name, found in slices.items():
        if len(found) == 1:  # a number that counts no slices
            cases.append(alone(found[0][1], resample=resample))
            continue
        ordered = [path for _, path in sorted(found)]
        cases.append(Case(name, tuple(ordered), partial(pictures.read, name, ordered)))
    return cases, left_out


def _volume(name: str, files: Mapping[str, Path], resample: bool) -> Case:
    return Case(name, tuple(files.values()), partial(_read_volume, name, files, resample))


def _read_volume(name: str, files: Mapping[str, Path], resample: bool) -> Scan:
    for sequence in files.keys() & _NOT_USED:
        raise ValueError(f"{files[sequence]} is {_NOT_USED[sequence]}; give FLAIR")
    if FLAIR not in files:
        found = ", ".join(f"{path} is {sequence}" for sequence, path in files.items())
        raise ValueError(f"{name} has no FLAIR ({found}); name it ..._flair, or give --flair FILE")
    return nifti.read(name, files, resample=resample)
