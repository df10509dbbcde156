"""What lies in files and folders: a case each, and a word on everything that is none."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from brainseg.data.folders import walk
from brainseg.predict import pictures
from brainseg.predict.marks import is_dicom
from brainseg.predict.scan import FLAIR, Scan
from brainseg.predict.sequences import Named, named
from brainseg.predict.volume import not_used, read_volume

_NUMBERED = re.compile(r"^(?P<case>.+)_(?P<number>\d+)$")


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


@dataclass(frozen=True)
class Finder:
    """Finds cases.

    Attributes:
        resample: as in `predict.nifti.read`.
        order: the sequences that `_0000`, `_0001`, ... are, or those along a file's last axis.
        known: the sequences that the weights know.
        windows: of each of these, with CT, the values that become 0 and 255.
    """

    resample: bool = False
    order: tuple[str, ...] = ()
    known: tuple[str, ...] = ("pre", FLAIR, "post")
    windows: tuple[tuple[float, float], ...] = ()

    def by_sequence(self, files: Mapping[str, Path]) -> Case:
        """A case whose sequences are given by name: a file or a folder of DICOM each.

        Raises:
            ValueError: one file is given as two sequences, of which one would be a copy.
        """
        by_file: dict[Path, str] = {}
        for key, path in files.items():
            if path.is_file() and (other := by_file.setdefault(path.resolve(), key)) != key:
                raise ValueError(f"{path} is given as {other} and as {key}; leave out what is none")
        return self._volume(named(files[FLAIR]).case, {key: [p] for key, p in files.items()})

    def find(self, paths: Sequence[Path]) -> tuple[list[Case], dict[str, str]]:
        """The cases in files and folders, and what was left out, path to reason.

        Args:
            paths: files, each a case of its own; folders, all files below them.

        Raises:
            ValueError: a path does not exist, or two cases have one name.
        """
        cases: list[Case] = []
        left_out: dict[str, str] = {}
        for path in paths:
            if not path.exists():
                raise ValueError(f"{path} does not exist; give a scan, or a folder of scans")
            found, others = self._below(path) if path.is_dir() else ([self.alone(path)], {})
            cases, left_out = cases + found, left_out | others
        names = [case.name for case in cases]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two cases are called {', '.join(twice)}; segment them by calls of their own"
            )
        return cases, left_out

    def alone(self, path: Path) -> Case:
        """A file that is a case by itself; what its name forbids is said when it is read."""
        said = named(path, self.order, self.known)
        if path.suffix.lower() == ".zip":
            return Case(path.stem, (path,), partial(self._read_zip, path))
        if said.ending.startswith(".nii") or is_dicom(path):
            return self._volume(said.case, {said.sequence or FLAIR: [path]})
        return Case(said.case, (path,), partial(_read_picture, said, path))

    def _below(self, root: Path) -> tuple[list[Case], dict[str, str]]:
        cases: list[Case] = []
        left_out: dict[str, str] = {}
        dicom: list[Path] = []
        for folder in walk(root):
            if folder.problem:
                left_out[str(folder.path)] = folder.problem
            files = [folder.path / name for name in folder.files]
            dicom += (marked := [path for path in files if is_dicom(path)])
            here, others = self._in_folder([path for path in files if path not in marked])
            cases, left_out = cases + here, left_out | others
        studies, others = self._studies(dicom, root)
        return cases + studies, left_out | others

    def _in_folder(self, files: Sequence[Path]) -> tuple[list[Case], dict[str, str]]:
        left_out: dict[str, str] = {}
        volumes: dict[str, dict[str, list[Path]]] = defaultdict(dict)
        slices: dict[str, list[tuple[int, Path]]] = defaultdict(list)
        cases: list[Case] = []
        for path in files:
            said = named(path, self.order, self.known)
            numbered = _NUMBERED.match(said.case)
            if path.suffix.lower() == ".zip":
                cases.append(self.alone(path))
            elif not said.ending:
                left_out[str(path)] = "no scan, by its name"
            elif said.ending.startswith(".nii") and (why := not_used(said.sequence, self.known)):
                left_out[str(path)] = why
            elif said.ending.startswith(".nii"):
                sequence = said.sequence or FLAIR
                if sequence in volumes[said.case]:
                    there = volumes[said.case][sequence][0]
                    left_out[str(path)] = f"{there} is {sequence} of {said.case} already"
                else:
                    volumes[said.case][sequence] = [path]
            elif why := _no_picture(said):
                left_out[str(path)] = why
            elif numbered:
                name, number = numbered["case"], int(numbered["number"])
                if first := next((p for n, p in slices[name] if n == number), None):
                    left_out[str(path)] = f"{first} is slice {number} of {name} already"
                else:
                    slices[name].append((number, path))
            else:
                cases.append(self.alone(path))
        cases += [self._volume(name, found) for name, found in volumes.items()]
        for name, found in slices.items():
            if len(found) == 1:  # a number that counts no slices
                cases.append(self.alone(found[0][1]))
                continue
            ordered = [path for _, path in sorted(found)]
            cases.append(Case(name, tuple(ordered), partial(pictures.read, name, ordered)))
        return cases, left_out

    def _studies(self, files: Sequence[Path], root: Path) -> tuple[list[Case], dict[str, str]]:
        """A case of each DICOM study, and of each damaged file, which fails when it is read."""
        if not files:
            return [], {}
        from brainseg.predict.dicom import studies  # SimpleITK, a second: for DICOM alone

        found = studies(files, root, self.known)
        cases = [self._volume(name, sequences) for name, sequences in found.cases.items()]
        cases += [self._volume(f"{p.parent.name}_{p.stem}", {FLAIR: [p]}) for p in found.damaged]
        return cases, found.left_out

    def _read_zip(self, path: Path) -> Scan:
        from brainseg.predict.dicom_volume import temporary, unpacked

        with temporary() as name:
            files = [each for each in unpacked(path, Path(name)) if is_dicom(each)]
            cases, left_out = self._studies(files, Path(name))
            if len(cases) != 1:
                why = next(iter(left_out.values()), "no DICOM file")
                raise ValueError(f"{path} holds {len(cases)} studies to segment, not one ({why})")
            scan = replace(cases[0].read(), name=path.stem)
            scan.notes.extend(f"left out: {why}" for why in dict.fromkeys(left_out.values()))
            return replace(scan, files={each: [path] for each in scan.files})

    def _volume(self, name: str, files: Mapping[str, Sequence[Path]]) -> Case:
        every = tuple(_files(path for paths in files.values() for path in paths))
        read = partial(read_volume, name, files, self.known, order=self.order)
        return Case(name, every, partial(read, resample=self.resample, windows=self.windows))


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        yield from (
            sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
        )


def _read_picture(said: Named, path: Path) -> Scan:
    if not said.ending:
        raise ValueError(
            f"{path} is no scan by its name; give NIfTI, DICOM, a zip of it, PNG, JPEG or TIFF"
        )
    if why := _no_picture(said):
        raise ValueError(f"{path} is {why}; give FLAIR, or a picture of three channels")
    return pictures.read(said.case, [path])


def _no_picture(said: Named) -> str:
    """Why a picture is not segmented; empty where it is."""
    known = {"": "", FLAIR: "", "mask": "a mask, by its name"}
    return known.get(said.sequence, f"a picture of {said.sequence} alone, by its name")
