"""Data folders as people have them: every file is read whole, named as a fault, or left out."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from brainseg.data.cache import Scans
from brainseg.data.lgg import LGG
from tests.fuzz.conftest import examples

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

SIZE = 24
PICTURES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".nii", ".gz", ".dcm", ".npy")
SYSTEM = ("Thumbs.db", "desktop.ini", "__MACOSX")


def image(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 20, (SIZE, SIZE, 3))
    pixels[5:20, 4:20] += rng.integers(60, 160, 3)
    return pixels.astype(np.uint8)


def mask(seed: int) -> NDArray[np.uint8]:
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[8 : 10 + seed % 5, 9:13] = 255
    return pixels


def write_patient(folder: Path, seed: int, slices: int) -> None:
    folder.mkdir(parents=True)
    for k in range(1, slices + 1):
        Image.fromarray(image(100 * seed + k)).save(folder / f"{folder.name}_{k}.tif")
        Image.fromarray(mask(seed + k)).save(folder / f"{folder.name}_{k}_mask.tif")


Change = Callable[[Path, Path], object]  # of a root, and one file of a patient


def changed(kind: str) -> Change:
    """Writes the picture anew, in a form that is not what it claims or not what is asked for."""

    def write(root: Path, path: Path) -> None:
        picture = Image.open(path)
        picture.load()
        modes: dict[str, Callable[[], object]] = {
            "grey": lambda: picture.convert("L").save(path),
            "alpha": lambda: picture.convert("RGBA").save(path),
            "palette": lambda: picture.convert("P").save(path),
            "cmyk": lambda: picture.convert("CMYK").save(path),
            "float": lambda: Image.fromarray(np.zeros((SIZE, SIZE), np.float32)).save(path),
            "16 bit": lambda: cv2.imwrite(str(path), np.asarray(picture).astype(np.uint16) * 16),
            "pages": lambda: picture.save(path, save_all=True, append_images=[picture.copy()]),
            "turned": lambda: picture.save(path, tiffinfo={274: 8}),
            "small": lambda: picture.resize((SIZE // 2, SIZE)).save(path),
            "full": lambda: Image.new("L", picture.size, 255).save(path),
            "odd values": lambda: Image.new("L", picture.size, 7).save(path),
            "black": lambda: Image.new(picture.mode, picture.size).save(path),
            "lzw": lambda: picture.save(path, compression="tiff_lzw"),
        }
        modes[kind]()

    return write


CHANGES: dict[str, Change] = {
    **{
        kind: changed(kind)
        for kind in (
            *("grey", "alpha", "palette", "cmyk", "float", "16 bit", "pages", "turned", "small"),
            *("full", "odd values", "black", "lzw"),
        )
    },
    "empty": lambda root, path: path.write_bytes(b""),
    "cut": lambda root, path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "text": lambda root, path: path.write_text("no picture"),
    "gone": lambda root, path: path.unlink(),
    "upper case": lambda root, path: path.rename(path.with_suffix(".TIF")),
    "tiff": lambda root, path: path.rename(path.with_suffix(".tiff")),
    "png": lambda root, path: (Image.open(path).save(path.with_suffix(".png")), path.unlink()),
    "jpg": lambda root, path: Image.open(path).save(path.with_suffix(".jpg")),
    "copy": lambda root, path: shutil.copy(path, path.with_name(f"{path.stem} (2).tif")),
    "zero": lambda root, path: path.rename(path.with_name(path.name.replace("_1", "_01"))),
    "dead link": lambda root, path: (path.unlink(), path.symlink_to(root / "nowhere.tif")),
    "link": lambda root, path: (path.rename(root / "a.bin"), path.symlink_to(root / "a.bin")),
    "pipe": lambda root, path: os.mkfifo(path.with_name("pipe.tif")),
    "folder": lambda root, path: (path.unlink(), path.mkdir()),
    "loop": lambda root, path: (path.parent / "loop").symlink_to(root),
    "notes": lambda root, path: (path.parent / "notes.txt").touch(),
    "csv": lambda root, path: (root / "data.csv").touch(),
    "hidden": lambda root, path: (path.parent / f"._{path.name}").touch(),
    "windows": lambda root, path: (path.parent / "Thumbs.db").touch(),
    "mac": lambda root, path: (root / "__MACOSX" / path.parent.name).mkdir(
        parents=True, exist_ok=True
    ),
    "picture beside": lambda root, path: shutil.copy(path, root / "overview.png"),
    "renamed": lambda root, path: path.parent.rename(path.parent.with_name("patient7")),
    "again": lambda root, path: shutil.copytree(
        path.parent, root / "copy" / path.parent.name, symlinks=True, dirs_exist_ok=True
    ),
    "visit": lambda root, path: shutil.copytree(
        path.parent,
        path.parent.with_name(f"{path.parent.name[:-4]}1231"),
        symlinks=True,
        dirs_exist_ok=True,
    ),
    "deeper": lambda root, path: path.parent.rename(root / "site" / path.parent.name),
}


def accounted(root: Path, path: Path, read: set[Path], problems: list[str]) -> bool:
    """Whether a file was read, named (or its folder), or is of a kind that is left out."""
    parts = path.relative_to(root).parts
    if path in read or any(p.startswith(".") or p in SYSTEM for p in parts):
        return True
    if not path.name.lower().endswith(PICTURES) or path.is_fifo():
        return True
    named = "\n".join(problems)
    if f"{path}: " in named or any(f"{folder}: " in named for folder in path.parents):
        return True
    same = (other for other in root.rglob(path.name) if other != path and other.is_file())
    sizes = (other.stat().st_size for other in same if other.parent.name == path.parent.name)
    return path.exists() and path.stat().st_size in sizes  # as the line says of a folder again


@settings(max_examples=examples("data"))
@given(
    patients=st.integers(2, 4),
    slices=st.integers(1, 3),
    where=st.sampled_from(["", "kaggle_3m", "a/b", "mit Leer", "Ünicode"]),
    changes=st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 99)), max_size=4),
)
def test_every_file_is_read_whole_or_named_or_left_out(
    patients: int, slices: int, where: str, changes: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "scans"
        (root / "site").mkdir(parents=True)
        for k in range(patients):
            write_patient(root / where / f"TCGA_{'ABC'[k % 3]}X_{k:04d}_20000101", k, slices)
        for kind, number in changes:
            files = sorted(path for path in root.rglob("TCGA_*/TCGA_*.tif") if path.is_file())
            if files:
                try:
                    CHANGES[kind](root, files[number % len(files)])
                except (OSError, ValueError, TypeError):  # two changes that do not go together
                    continue
        found = LGG().find(root)
        read = {path for p in found.patients for path in (*p.images, *p.masks)}
        stop = Scans(LGG(), root=root, size=16, cache_dir=Path(name) / "cache")
        problems = list(found.problems)
        try:
            stop.prepare()
        except (ValueError, FileNotFoundError) as error:
            problems += [line.strip() for line in str(error).splitlines()]
        for path in root.rglob("*"):
            if path.is_file() or path.is_symlink():
                linked = any(parent.is_symlink() for parent in path.parents if parent != root)
                assert linked or accounted(root, path, read, problems), (path, problems, found)
        skip = Scans(LGG(), root=root, size=16, cache_dir=Path(name) / "cache", on_error="skip")
        try:
            skip.prepare()
        except (ValueError, FileNotFoundError) as error:
            said = str(error)
        else:
            said = ""
        if said:
            assert "no slice is left" in said or "must be or hold" in said
            return
        index, position = skip.index, 0
        for patient in found.patients:
            kept = index["slice"][index["patient"] == patient.name].tolist()
            for number, path, truth in zip(
                patient.slices, patient.images, patient.masks, strict=True
            ):
                if number not in kept:
                    assert any(f"{p}: " in "\n".join(problems) for p in (path, truth)), path
                    continue
                with Image.open(truth) as picture:  # whole: no pixel changed on the way
                    expected = np.asarray(picture) > 0
                np.testing.assert_array_equal(skip.original_masks([position])[0, 0], expected)
                position += 1
        assert position == len(index)
