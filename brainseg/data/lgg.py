"""LGG: FLAIR abnormality in lower-grade gliomas, as TIFF slices (Buda et al. 2019)."""

import logging
import re
from collections import Counter
from io import BytesIO
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainseg.data.reader import Patient, SliceError
from brainseg.files import only_one

__all__ = ["LGG", "Patient"]

log = logging.getLogger(__name__)

# Without its version, kagglehub asks Kaggle even where the data are in its cache.
HANDLE = "mateuszbuda/lgg-mri-segmentation/versions/2"
DEPTH = 4  # a parent, the archive's top, lgg-mri-segmentation, kaggle_3m
REMEDY = "set data.root=PATH or BRAINSEG_DATA, let this machine reach Kaggle, or use data=phantom"


class LGG:
    """Lower-grade gliomas of TCGA: 110 patients, 3,929 slices of 256 x 256 pixels.

    Images from The Cancer Imaging Archive (TCGA-LGG), masks of the FLAIR abnormality by Buda,
    Saha, Mazurowski 2019 (Computers in Biology and Medicine 109); Kaggle's
    `mateuszbuda/lgg-mri-segmentation`, CC BY-NC-SA 4.0. Layout:

        kaggle_3m/TCGA_<institution>_<patient>_<date>/<the folder's name>_<slice>.tif
        kaggle_3m/TCGA_<institution>_<patient>_<date>/<the folder's name>_<slice>_mask.tif

    The channels are pre-contrast, FLAIR and post-contrast, not red, green and blue; where a
    sequence is missing it is a copy of FLAIR. The skull is there.
    """

    modalities: tuple[str, ...] = ("pre", "flair", "post")
    stand_in: str | None = "flair"

    def find(self, root: str | Path | None = None) -> tuple[list[Patient], list[str]]:
        """The patients, by name, and what is wrong with the folders (each line with its path).

        Args:
            root: The archive's top, either of its two `kaggle_3m`, or a parent; the two are the
                same, so the shallowest is read. None downloads it from Kaggle once.

        Raises:
            FileNotFoundError: If there are no patients below `root`, or no download.
        """
        patients: list[Patient] = []
        problems: list[str] = []
        first: dict[str, Path] = {}
        for folder in _folders(Path(root).expanduser() if root else _download()):
            person = "_".join(folder.name.split("_")[:3])
            if first.setdefault(person, folder) != folder:  # a split would not know them as one
                problems.append(f"{folder}: {person} has another folder, {first[person].name}")
                continue
            patient, wrong = _find_slices(folder)
            problems += wrong
            if patient.slices:
                patients.append(patient)
        return patients, problems

    def read(self, patient: Patient) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Images `[D, H, W, 3]` in the order of `modalities` and masks `[D, H, W]` of 0 and 1.

        Raises:
            SliceError: If a file is unreadable or truncated, a size or channel count differs, or a
                mask holds other values than 0 and 255 (or 0 and 1). It names every such slice.
        """
        slices: dict[int, list[NDArray[np.uint8]]] = {}
        problems: dict[int, list[str]] = {}
        for k, paths in enumerate(zip(patient.images, patient.masks, strict=True)):
            slices[k], wrong = _read_slice(*paths)
            if wrong:
                problems[k] = wrong
        good = sorted(slices.keys() - problems.keys())
        sizes = Counter(slices[k][0].shape for k in good)
        for k in good:
            size, usual = slices[k][0].shape, sizes.most_common(1)[0][0]
            if size != usual:
                line = f"{patient.images[k]}: {_size(size)}, most of the patient {_size(usual)}"
                problems[k] = [line]
        if problems:
            raise SliceError(dict(sorted(problems.items())))
        images, masks = zip(*slices.values(), strict=True)
        return np.stack(images), np.stack(masks)


def _folders(root: Path) -> list[Path]:
    """The patients' folders, all in the shallowest folder that has any."""
    for depth in range(DEPTH):
        found = sorted(path for path in root.glob("*/" * depth + "TCGA_*") if path.is_dir())
        if found:
            log.info("reading the scans in %s", found[0].parent)
            return [path for path in found if path.parent == found[0].parent]
    rule = "must be or hold kaggle_3m" if root.is_dir() else "must be a folder"
    raise FileNotFoundError(f"data.root={root}; {rule}; {REMEDY}")


def _find_slices(folder: Path) -> tuple[Patient, list[str]]:
    images: dict[int, Path] = {}
    masks: dict[int, Path] = {}
    problems: list[str] = []
    name = re.compile(re.escape(folder.name) + r"_(\d+)(_mask)?\.tif")
    for path in sorted(folder.glob("[!.]*.tif")):
        match = name.fullmatch(path.name)
        side = masks if match and match[2] else images
        if match is None:
            problems.append(f"{path}: is not named {folder.name}_<slice>.tif or ..._mask.tif")
        elif int(match[1]) in side:
            problems.append(f"{path}: slice {int(match[1])} is there twice")
        else:
            side[int(match[1])] = path
    if not images and not masks and not problems:
        problems.append(f"{folder}: empty folder, no slices")
    problems += [f"{images[k]}: image without a mask" for k in sorted(images.keys() - masks.keys())]
    problems += [f"{masks[k]}: mask without an image" for k in sorted(masks.keys() - images.keys())]
    slices = tuple(sorted(images.keys() & masks.keys()))
    patient = Patient(
        name=folder.name,
        institution=folder.name.split("_")[1],
        slices=slices,
        images=tuple(images[k] for k in slices),
        masks=tuple(masks[k] for k in slices),
    )
    return patient, problems


def _read_slice(image: Path, mask: Path) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Image `[H, W, 3]` and mask `[H, W]`, and what is wrong with them."""
    arrays: list[NDArray[np.uint8]] = []
    problems: list[str] = []
    for path, decode in ((image, _decode_image), (mask, _decode_mask)):
        try:
            arrays.append(decode(path))
        except ValueError as error:
            problems.append(f"{path}: {error}")
    if not problems and arrays[0].shape[:2] != arrays[1].shape:
        problems.append(f"{mask}: {_size(arrays[1].shape)}, its image {_size(arrays[0].shape)}")
    return arrays, problems


def _decode_image(path: Path) -> NDArray[np.uint8]:
    mode, pixels = _decode(path)
    if mode != "RGB":
        raise ValueError(f"{_channels(pixels)}, must be 3 of uint8")
    return pixels


def _decode_mask(path: Path) -> NDArray[np.uint8]:
    mode, pixels = _decode(path)
    if mode not in ("1", "L"):
        raise ValueError(f"{_channels(pixels)}, a mask's must be 1 of uint8")
    inside: NDArray[np.bool_] = pixels != 0
    values = np.unique(pixels[inside])
    if len(values) > 1 or (len(values) == 1 and values[0] not in (1, 255)):
        shown = ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
        raise ValueError(f"mask values {shown}, must be 0 and 255 (or 0 and 1)")
    return inside.astype(np.uint8)


def _decode(path: Path) -> tuple[str, NDArray[Any]]:
    """Pillow's mode, and the pixels."""
    try:
        # In one read: many small ones would pass the interpreter's lock from thread to thread.
        with Image.open(BytesIO(path.read_bytes())) as picture:
            return picture.mode, np.asarray(picture)
    except Exception as error:  # Pillow raises a dozen kinds on damaged files
        reason = getattr(error, "strerror", None) or "unreadable or truncated"
        raise ValueError(reason) from error


def _channels(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[2] if pixels.ndim == 3 else 1} channels of {pixels.dtype}"


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]} pixels"


def _download() -> Path:
    # Imported here: a path on disk does not need the 0.4 s.
    import kagglehub

    cache = Path(kagglehub.config.get_cache_folder())
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # kagglehub has no lock of its own
        with only_one(cache / "brainseg-lgg.lock", "the LGG scans are being downloaded"):
            return Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # kagglehub's own, requests' and the disk's
        reason = shorten(str(error) or type(error).__name__, 120, placeholder=" ...")
        rule = f"the scans could not be downloaded from Kaggle ({reason})"
        raise FileNotFoundError(f"data.root=null; {rule}; {REMEDY}") from error
