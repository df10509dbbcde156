"""LGG: FLAIR abnormality in lower-grade gliomas, as TIFF slices (Buda et al. 2019)."""

import filecmp
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from brainseg.data.download import REMEDY, download
from brainseg.data.folders import Folder, by_parent, left_out, walk
from brainseg.data.pictures import SUFFIXES, read_slice, size
from brainseg.data.reader import Found, Patient, SliceError, Slices

__all__ = ["LGG", "Patient"]

HANDLE = "mateuszbuda/lgg-mri-segmentation/versions/2"
NAMED = "TCGA_<institution>_<patient>_<date>"
# Files that may be scans: in a folder that is not read, they are a fault.
SCANS = (*SUFFIXES, ".jpg", ".jpeg", ".bmp", ".gif", ".nii", ".gz", ".mha", ".dcm", ".npy", ".npz")


class LGG:
    """Lower-grade gliomas of TCGA: 110 patients, 3,929 slices of 256 x 256 pixels.

    Images from The Cancer Imaging Archive (TCGA-LGG), masks of the FLAIR abnormality by Buda,
    Saha, Mazurowski 2019 (Computers in Biology and Medicine 109); Kaggle's
    `mateuszbuda/lgg-mri-segmentation`, CC BY-NC-SA 4.0. Layout:

        kaggle_3m/TCGA_<institution>_<patient>_<date>/<the folder's name>_<slice>.tif
        kaggle_3m/TCGA_<institution>_<patient>_<date>/<the folder's name>_<slice>_mask.tif

    Patients' folders may lie anywhere below the root; `.tiff` and `.png` are read too. The channels
    are pre-contrast, FLAIR and post-contrast, not red, green and blue; where a sequence is missing
    it is a copy of FLAIR. The skull is there.
    """

    modalities: tuple[str, ...] = ("pre", "flair", "post")
    regions: tuple[str, ...] = ("tumour",)
    bits: Mapping[int, int] = MappingProxyType({0: 0, 1: 1})
    stand_in: str | None = "flair"
    same_size = True
    settings = ""
    licence = "CC BY-NC-SA 4.0, as the LGG scans that they were trained on (TCGA-LGG; Buda 2019)"
    limits = (
        "lower-grade gliomas before surgery, of five institutions: nothing else was learnt",
        "finds the FLAIR abnormality, not the enhancing tumour or its core",
        "axial slices of whole heads, skull included; pre-contrast, FLAIR, post-contrast",
        "with FLAIR alone, a tumour hardly brighter than the brain around it is found in part",
    )

    def find(self, root: str | Path | None = None) -> Found:
        """The patients, by name, and what becomes of everything else below `root`.

        Args:
            root: What the patients' folders lie in, at any depth. A folder that is there again with
                the same files, as in Kaggle's archive, is read once. None downloads the archive.

        Raises:
            FileNotFoundError: If there are no patients below `root`, or no download.
        """
        top = (Path(root).expanduser() if root else download(HANDLE, "lgg")).absolute()
        folders = sorted(walk(top), key=lambda folder: len(folder.path.parts))  # stable: by name
        again = [folder.path for folder in folders if folder.again]
        problems = [f"{folder.path}: {folder.problem}" for folder in folders if folder.problem]
        own: dict[str, Folder] = {}
        patients: list[Patient] = []
        other: list[str] = []
        for folder in folders:
            named = folder.path.name.startswith("TCGA_")
            before = own.setdefault(_person(folder.path), folder) if named else None
            if folder.again:
                continue
            if before is folder:
                patient, wrong, beside = _find_slices(folder)
                patients += [patient] if patient.slices else []
                problems += wrong
                other += beside
            elif before and _same_files(before, folder):
                again.append(folder.path)
            elif before:  # a split would not know them as one
                problems.append(
                    f"{folder.path}: {_person(folder.path)} has another folder, {before.path}"
                )
            else:
                problems += _scans_outside(folder)
                other += [name for name in folder.files if not _may_be_scan(name)]
        if not own and (not problems or not top.is_dir()):
            rule = "must be or hold kaggle_3m" if top.is_dir() else "must be a folder"
            raise FileNotFoundError(f"data.root={root}; {rule}; {REMEDY}")
        patients.sort(key=lambda patient: patient.name)
        places = by_parent([patient.images[0].parent for patient in patients], top)
        system = sum(folder.system for folder in folders)
        return Found(patients, problems, left_out(top, again, other, system), places, top)

    def shape(self, patient: Patient) -> tuple[int, int] | None:
        """Height and width of the first sound slice."""
        for paths in zip(patient.images, patient.masks, strict=True):
            arrays, wrong = read_slice(*paths)
            if not wrong:
                return arrays[0].shape[0], arrays[0].shape[1]
        return None

    def read(self, patient: Patient) -> Slices:
        """Images `[D, H, W, 3]` in the order of `modalities` and masks `[D, H, W]` of 0 and 1.

        Raises:
            SliceError: If a file is unreadable or truncated, a size or channel count differs, or a
                mask holds other values than 0 and 255 (or 0 and 1). It names every such slice.
        """
        slices: dict[int, list[NDArray[np.uint8]]] = {}
        problems: dict[int, list[str]] = {}
        for k, paths in enumerate(zip(patient.images, patient.masks, strict=True)):
            slices[k], wrong = read_slice(*paths)
            if wrong:
                problems[k] = wrong
        good = sorted(slices.keys() - problems.keys())
        sizes = Counter(slices[k][0].shape for k in good)
        for k in good:
            shape, usual = slices[k][0].shape, sizes.most_common(1)[0][0]
            if shape != usual:
                line = f"{patient.images[k]}: {size(shape)}, most of the patient {size(usual)}"
                problems[k] = [line]
        if problems:
            raise SliceError(dict(sorted(problems.items())))
        images, masks = zip(*slices.values(), strict=True)
        return Slices(np.stack(images), np.stack(masks))


def _person(folder: Path) -> str:
    return "_".join(folder.name.split("_")[:3])


def _may_be_scan(name: str) -> bool:
    return name.lower().endswith(SCANS)


def _same_files(first: Folder, second: Folder) -> bool:
    """Whether two patients' folders are alike: names and sizes, and the bytes of the middle."""
    if (first.path.name, first.files) != (second.path.name, second.files):
        return False
    pairs = [(first.path / name, second.path / name) for name in first.files]
    try:
        sizes = all(a.stat().st_size == b.stat().st_size for a, b in pairs)
        middle = pairs[len(pairs) // 2 : len(pairs) // 2 + 2]
        return sizes and all(filecmp.cmp(a, b, shallow=False) for a, b in middle)
    except OSError:  # such as a dead link
        return False


def _scans_outside(folder: Folder) -> list[str]:
    scans = [name for name in folder.files if _may_be_scan(name)]
    what = f"{len(scans)} pictures or scans, such as {scans[0]}" if scans else ""
    return [f"{folder.path}: {what}, in a folder that is not named {NAMED}"] if scans else []


def _find_slices(folder: Folder) -> tuple[Patient, list[str], list[str]]:
    """The patient of a folder, what is wrong with its files, and which are no scans."""
    images: dict[int, Path] = {}
    masks: dict[int, Path] = {}
    problems: list[str] = []
    other: list[str] = []
    path, name = folder.path, folder.path.name
    pattern = re.compile(re.escape(name) + r"_(\d+)(_mask)?")
    for file in folder.files:
        match = pattern.fullmatch(file.rpartition(".")[0])
        side = masks if match and match[2] else images
        if not _may_be_scan(file):
            other.append(file)
        elif match is None:
            problems.append(f"{path / file}: is not named {name}_<slice>.tif or ..._mask.tif")
        elif not file.lower().endswith(SUFFIXES):
            problems.append(f"{path / file}: is not read; save it as one of {', '.join(SUFFIXES)}")
        elif int(match[1]) in side:
            problems.append(f"{path / file}: slice {int(match[1])} is there twice")
        else:
            side[int(match[1])] = path / file
    if not images and not masks and not problems and not folder.problem:
        problems.append(f"{path}: empty folder, no slices")
    problems += [f"{images[k]}: image without a mask" for k in sorted(images.keys() - masks.keys())]
    problems += [f"{masks[k]}: mask without an image" for k in sorted(masks.keys() - images.keys())]
    slices = tuple(sorted(images.keys() & masks.keys()))
    patient = Patient(
        name=name,
        institution=[*name.split("_"), ""][1],
        slices=slices,
        images=tuple(images[k] for k in slices),
        masks=tuple(masks[k] for k in slices),
    )
    return patient, problems, other
