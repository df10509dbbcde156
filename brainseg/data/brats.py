"""BraTS: gliomas in four sequences, as NIfTI volumes (Menze 2015; Bakas 2017; Baid 2021)."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from brainseg.data import volumes
from brainseg.data.download import REMEDY, download
from brainseg.data.folders import left_out, walk
from brainseg.data.reader import Found, Patient, Slices
from brainseg.data.regions import region_bits

__all__ = ["BraTS"]

ENDINGS = (".nii.gz", ".nii")
GRADES = "name_mapping.csv"
_NO_LABELS = re.compile(r"(?i)valid|test")  # of a folder: the parts of a release without labels
_ALIAS = re.compile(r"(?i)segm?(entation)?$")  # as patient 355's W39_1998.09.19_Segm.nii


class BraTS:
    """Brain tumours of the BraTS challenges.

    A patient is known by the stems of its files, `BraTS20_Training_001_flair.nii[.gz]`, which may
    lie in folders of any name at any depth. A sequence that is not there is a copy of the first
    that is, FLAIR before all (as in LGG), and is said to be missing. Patients are stratified by the
    grade in `name_mapping.csv`. Skull-stripped; the release's own licence holds.

    Args:
        files: how a modality's file ends, of each; the first that is there is taken.
        labels: how the file of the labels ends.
        regions: the labels of each region.
        expected: patients of the whole release; fewer are said.
        handle: at Kaggle, where no folder is given; None: a folder must be given.

    Raises:
        ValueError: the regions are none.
    """

    stand_in: str | None = "flair"
    same_size = False
    licence = "as the BraTS release that they were trained on; research only"
    limits = ("gliomas, skull-stripped, at 1 mm: nothing else was learnt",)

    def __init__(
        self,
        *,
        files: Mapping[str, Sequence[str]],
        labels: Sequence[str],
        regions: Mapping[str, Sequence[int]],
        expected: int | None = None,
        handle: str | None = None,
    ) -> None:
        self.files = {name: tuple(endings) for name, endings in files.items()}
        self.labels, self.expected, self.handle = tuple(labels), expected, handle
        self.regions = tuple(regions)
        self.bits = region_bits(regions)
        self.settings = f"{self.files} {self.labels} {self.regions} {self.bits}"

    @property
    def modalities(self) -> tuple[str, ...]:
        """In the order of the channels."""
        return tuple(self.files)

    def find(self, root: str | Path | None = None) -> Found:
        """The patients, by name, and what becomes of everything else below `root`.

        Args:
            root: what the release lies in, at any depth. None downloads it, where Kaggle has it.

        Raises:
            FileNotFoundError: there are no patients below `root`, or no download.
        """
        if root is None and self.handle is None:
            raise FileNotFoundError(f"data.root=null; must be the release's folder; {REMEDY}")
        top = Path(root).expanduser() if root else download(str(self.handle), "brats")
        top = top.absolute()
        own: dict[str, dict[str, list[Path]]] = {}  # by patient, then by modality or `labels`
        problems, other, system = list[str](), list[str](), 0
        known: dict[str, tuple[str, str]] = {}  # grade, and name in TCGA
        strangers: dict[Path, list[Path]] = {}  # other volumes, by folder
        for folder in walk(top):
            problems += [f"{folder.path}: {folder.problem}"] if folder.problem else []
            system += folder.system
            for name in folder.files:
                path = folder.path / name
                if name == GRADES:
                    known |= _known(path)
                elif not name.endswith(ENDINGS):
                    other.append(name)
                elif named := self._named(name):
                    own.setdefault(named[0], {}).setdefault(named[1], []).append(path)
                else:
                    strangers.setdefault(path.parent, []).append(path)
        if not own and (not problems or not top.is_dir()):
            rule = "must hold BraTS volumes" if top.is_dir() else "must be a folder"
            raise FileNotFoundError(f"data.root={root}; {rule} (..._flair.nii.gz); {REMEDY}")
        notes, patients, unlabelled = list[str](), list[Patient](), 0
        for name in tqdm(sorted(own), "reading headers", unit="patient", delay=2, disable=None):
            found = own[name]
            first = next(iter(found.values()))[0]
            if "labels" not in found and (alias := self._alias(first.parent, found, strangers)):
                found["labels"] = [alias]
                notes.append(f"{alias.name} is taken for the labels of {name}")
            if "labels" not in found and _NO_LABELS.search(str(first.parent.relative_to(top))):
                unlabelled += 1
                continue
            patient, wrong = self._patient(name, found, *known.get(name, ("", "")))
            patients += [patient] if patient else []
            problems += wrong
        problems += [
            f"{path}: is no volume of these" for paths in strangers.values() for path in paths
        ]
        notes += [f"patients without labels, in folders that say so ({unlabelled})"] * bool(
            unlabelled
        )
        if self.expected and len(patients) < self.expected:
            notes.append(f"{len(patients)} of the release's {self.expected} patients are here")
        return Found(patients, problems, [*notes, *left_out(top, [], other, system)], "", top)

    def shape(self, patient: Patient) -> tuple[int, int] | None:
        """Height and width of the patient's slices, by its header."""
        return volumes.shape(patient)

    def read(self, patient: Patient) -> Slices:
        """Images [D, H, W, C], each from its least value to its 99.9th percentile, and masks."""
        return volumes.read(patient, self.bits)

    def _named(self, name: str) -> tuple[str, str] | None:
        """Patient, and modality or `labels`."""
        stem = next(name.removesuffix(each) for each in ENDINGS if name.endswith(each))
        for what, endings in {**self.files, "labels": self.labels}.items():
            for ending in endings:
                if stem.endswith(ending) and len(stem) > len(ending):
                    return stem.removesuffix(ending), what
        return None

    def _alias(
        self, folder: Path, found: Mapping[str, list[Path]], strangers: dict[Path, list[Path]]
    ) -> Path | None:
        """The one volume of a patient's own folder that is named like labels, but not its own."""
        if any(path.parent != folder for paths in found.values() for path in paths):
            return None
        alike = [
            path
            for path in strangers.get(folder, [])
            if _ALIAS.search(path.name.partition(".nii")[0])
        ]
        if len(alike) != 1:
            return None
        strangers[folder].remove(alike[0])
        return alike[0]

    def _patient(
        self, name: str, found: Mapping[str, list[Path]], grade: str, person: str
    ) -> tuple[Patient | None, list[str]]:
        where = next(iter(found.values()))[0].parent
        twice = [paths for paths in found.values() if len(paths) > 1]
        if twice:
            return None, [
                f"{path}: is there twice, as {paths[0]}" for paths in twice for path in paths[1:]
            ]
        there = [each for each in self.modalities if each in found]
        if "labels" not in found or not there:
            what = "labels" if there else "sequence"
            return None, [f"{where}: {name} has no {what}"]
        each = [found.get(modality, found[there[0]])[0] for modality in self.modalities]
        patient, wrong = volumes.patient(name, grade, each, found["labels"][0])
        absent = tuple(each for each in self.modalities if each not in there)
        return patient and replace(patient, person=person, absent=absent), wrong


def _known(path: Path) -> dict[str, tuple[str, str]]:
    """Grade (HGG, LGG), and name in TCGA where it has one, of each patient by any of its names."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, tuple[str, str]] = {}
    for row in rows:
        names = [str(name) for key, name in row.items() if key and "subject_ID" in key and name]
        tcga = next((name for name in names if name.startswith("TCGA")), "")
        found |= {name: (str(row.get("Grade") or ""), tcga) for name in names if name != "NA"}
    return found
