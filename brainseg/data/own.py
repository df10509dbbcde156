"""Scans in a folder of one's own: pictures, TIFF stacks or NIfTI volumes, and masks beside them."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainseg.data import stacks, volumes
from brainseg.data.folders import left_out
from brainseg.data.patterns import NIFTI, PLACE, Key, Pair, Pattern, paired
from brainseg.data.reader import Found, Patient, Slices
from brainseg.data.regions import region_bits
from brainseg.data.table import Row, read_table

__all__ = ["Own"]

_NUMBER = re.compile(r"^(.*?)[_.-]?(\d+)$")

Pixels = NDArray[np.uint8]


class Own:
    """Images and masks that two patterns find, and that pair by what `*` stands for in both.

    A pattern with a slash is compared with the path below the root (`images/*.png` and
    `masks/*.png`), one without with the file's name, and then both lie in one folder
    (`*_image.*` and `*_mask.*`). A NIfTI volume is a patient; so is a TIFF of several pages.
    Numbered pictures are the slices of a patient, who is the name before the number, or the folder.

    Args:
        images: pattern; where each modality has files of its own, `MODALITY` stands in it for
            what they are called.
        masks: pattern.
        modalities: names of an image's channels, one for grey (None) and three for colour; with
            `MODALITY` in the pattern a name to what stands there, such as {flair: "0000"}.
        regions: labels of each; None is {tumour: [1]}. Where 1 is the only label, a mask of 0 and
            255 counts as one of 0 and 1.
        patient: regular expression whose first group, in an image's path below the root, names
            the patient; None takes the name before the slice's number.
        table: a CSV of images and masks (`table.read_table`) in the place of the patterns, below
            the root or absolute.

    Raises:
        ValueError: an argument is none of these.
    """

    stand_in: str | None = None
    same_size = False
    windows: Sequence[tuple[float, float]] = ()  # as of `volumes.read`

    def __init__(
        self,
        *,
        images: str,
        masks: str,
        modalities: Sequence[str] | Mapping[str, str] | None = None,
        regions: Mapping[str, Sequence[int]] | None = None,
        patient: str | None = None,
        table: str | None = None,
    ) -> None:
        modalities = ["image"] if modalities is None else modalities
        named = isinstance(modalities, Mapping)
        if not modalities or len(set(modalities)) < len(modalities):
            raise ValueError(
                f"data.reader.modalities={list(modalities)}; must be names, each once; set "
                "data.reader.modalities=[pre,flair,post]"
            )
        if table is None and named != (PLACE in images):
            raise ValueError(
                f"data.reader.images={images}; must have {PLACE} where each modality has files of "
                "its own, which data.reader.modalities={flair: _flair} names, and else not"
            )
        self.files = dict(modalities) if isinstance(modalities, Mapping) else {"": ""}
        regions = {"tumour": [1]} if regions is None else regions
        self.images, self.masks, self.regions = images, masks, tuple(regions)
        self.modalities = tuple(modalities)
        self.bits = region_bits(regions)
        self.settings = f"{images} {masks} {modalities} {self.regions} {self.bits} {patient}"
        self.table = Path(table).expanduser() if table else None
        try:
            self.patient = re.compile(patient) if patient else None
            grouped = self.patient is None or self.patient.groups
        except re.error as error:
            raise ValueError(f"data.reader.patient={patient}; is no pattern: {error}") from error
        if not grouped:
            raise ValueError(f"data.reader.patient={patient}; must have a group: (name)_[0-9]+")

    def find(self, root: str | Path | None = None) -> Found:
        """The patients, by name, and what becomes of everything else below `root`.

        Raises:
            FileNotFoundError: no image is below `root`.
        """
        top = Path(root).expanduser().absolute() if root else None
        if top is None or not top.is_dir():
            raise FileNotFoundError(f"data.root={root}; must be a folder; set data.root=PATH")
        rows: dict[Key, Row] = {}
        if self.table is None:
            named = {n: self.images.replace(PLACE, word) for n, word in self.files.items()}
            patterns = {name: Pattern(each) for name, each in named.items()}
            pairs, problems, other, system = paired(top, patterns | {"mask": Pattern(self.masks)})
        else:
            rows, problems, other, system = read_table(top / self.table, top, self.files)
            pairs = {key: row.files for key, row in rows.items()}
        listed = self.table is not None and problems
        if not listed and not any(set(pair) - {"mask"} for pair in pairs.values()):
            raise FileNotFoundError(
                f"data.root={root}; holds no file like data.reader.images={self.images}; set it"
            )
        by_patient: dict[str, list[tuple[int, Pair]]] = defaultdict(list)
        parts: dict[str, set[str]] = {}
        for key, pair in pairs.items():
            if absent := [name for name in (*self.files, "mask") if name not in pair]:
                path = next(iter(pair.values()))
                problems.append(f"{path}: has no {' and no '.join(n or 'image' for n in absent)}")
                continue
            name, number = self._who(key, pair[next(iter(self.files))], top)
            if key in rows:
                name = rows[key].patient or name
                number = len(by_patient[name]) + 1 if number is None else number
                parts.setdefault(name, set()).add(rows[key].part)
            by_patient[name].append((number or 0, pair))
        patients = []
        for name, slices in sorted(by_patient.items()):
            patient, wrong = self._made(name, sorted(slices, key=lambda each: each[0]))
            part = parts.get(name, {""})
            if len(part) > 1:  # where the table does not name patients
                sides = " and ".join(sorted(each or "no part" for each in part))
                wrong = [f"{self.table}: patient {name} is in {sides}"]
            elif patient:
                patients.append(replace(patient, part=next(iter(part))))
            problems += wrong
        what = "not in the table" if self.table else "like neither pattern"
        notes = [f"files {what} ({len(other)}), such as {other[0]}"] if other else []
        return Found(patients, problems, notes + left_out(top, [], [], system), "", top)

    def shape(self, patient: Patient) -> tuple[int, int] | None:
        """Height and width of most of the patient's slices, by their headers."""
        if patient.images[0].name.endswith(NIFTI):
            return volumes.shape(patient)
        return stacks.shape(patient)

    def read(self, patient: Patient) -> Slices:
        """Images [D, H, W, C], each channel brought to bytes, and masks [D, H, W].

        Raises:
            SliceError: a file is damaged, of another size or another number of channels, or a mask
                has a label that is in no region. It names every such slice.
        """
        if patient.images[0].name.endswith(NIFTI):
            return volumes.read(patient, self.bits, windows=self.windows)
        return stacks.read(patient, self.modalities, len(self.files), self.bits)

    def foreground(self, patient: Patient) -> NDArray[np.float32]:
        """What the files measure at the labelled voxels, [n, C].

        Raises:
            ValueError: it is no volume.
        """
        if not patient.images[0].name.endswith(NIFTI):
            raise ValueError(f"{patient.images[0]} is no volume")
        return volumes.foreground(patient, self.bits)

    def _who(self, key: Key, path: Path, top: Path) -> tuple[str, int | None]:
        """Patient and slice number of an image; None where its name has none."""
        stem = "_".join(filter(None, key[1:]))
        said = _NUMBER.match(stem)
        if self.patient is not None:
            below = path.relative_to(top) if path.is_relative_to(top) else path  # of a table
            found = self.patient.search(below.as_posix())
            return (found[1] if found and found[1] else stem), int(said[2]) if said else None
        if said is None or path.name.endswith(NIFTI) or stacks.is_stack(path):
            return stem or path.parent.name, None
        return said[1] or path.parent.name, int(said[2])

    def _made(
        self, name: str, slices: Sequence[tuple[int, Pair]]
    ) -> tuple[Patient | None, list[str]]:
        first = slices[0][1]
        each = [[pair[key] for key in self.files] for _, pair in slices]
        nifti = [pair["mask"].name.endswith(NIFTI) for _, pair in slices]
        if any(nifti) and len(self.modalities) > len(self.files):
            what = f"a volume is one channel, not {', '.join(self.modalities)}"
            return None, [f"{each[0][0]}: {what}; give each a file of its own, by {PLACE}"]
        if all(nifti) and len(slices) == 1:
            return volumes.patient(name, "", each[0], first["mask"])
        masks = [pair["mask"] for _, pair in slices]
        if any(nifti):
            what = "volumes and pictures, or several volumes"
            return None, [f"{masks[0]}: patient {name} has {what}; set data.reader.patient"]
        return stacks.patient(name, [number for number, _ in slices], each, masks)
