"""Folders of one's own and tables of them: every patient is read whole, or its faults are named."""

import csv
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from brainseg.data.cache import Scans
from brainseg.data.own import Own
from tests.fuzz.conftest import examples

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

KINDS = (".png", ".tif", ".nii.gz")  # numbered slices, stacks of three pages, volumes
HEIGHT, WIDTH, DEPTH = 36, 40, 3


def save(path: Path, values: np.ndarray) -> None:
    """[D, H, W] as pages or as a volume; of a PNG the first slice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".nii.gz"):
        nib.save(nib.Nifti1Image(values.transpose(2, 1, 0), np.eye(4)), path)
        return
    first, *rest = [Image.fromarray(page) for page in values]
    pages: dict[str, Any] = {"save_all": True, "append_images": rest}
    first.save(path, **(pages if path.suffix == ".tif" else {}))


def written(root: Path, kind: str, patients: int, names: tuple[str, ...]) -> list[list[Path]]:
    """Images of each modality and a mask, as `images/a0_1_flair.png` and `masks/a0_1.png`."""
    rng, found = np.random.default_rng(patients), []
    for patient in range(patients):
        for number in range(3 if kind == ".png" else 1):
            stem = f"a{patient}_{number}" if kind == ".png" else f"case_{patient:03d}"
            mask = np.zeros((DEPTH, HEIGHT, WIDTH), np.uint8)
            mask[:, 8 : 12 + number, 9:15] = 1 if kind == ".nii.gz" else 255
            files = [root / "images" / f"{stem}{name}{kind}" for name in names]
            for path in files:
                save(path, rng.integers(1, 250, (DEPTH, HEIGHT, WIDTH)).astype(np.uint8))
            save(root / "masks" / f"{stem}{kind}", mask)
            found.append([*files, root / "masks" / f"{stem}{kind}"])
    return found


def anew(path: Path, values: np.ndarray) -> None:
    save(path, np.broadcast_to(values, (DEPTH, *values.shape[-2:])).copy())


ZEROS = np.zeros((HEIGHT, WIDTH), np.uint8)
CHANGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no scan"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3]),
    "gone": lambda path: path.unlink(),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "dead link": lambda path: (path.unlink(), path.symlink_to(path.parent / "nowhere")),
    "black": lambda path: anew(path, ZEROS),
    "full": lambda path: anew(path, ZEROS + 255),
    "odd values": lambda path: anew(path, np.where(np.eye(HEIGHT, WIDTH) > 0, 7, ZEROS)),
    "small": lambda path: anew(path, np.eye(33, 35, dtype=np.uint8) * 200),
    "one page": lambda path: save(path, np.eye(HEIGHT, WIDTH, dtype=np.uint8)[None] * 255),
    "colour": lambda path: Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3)).save(path),
    "alpha": lambda path: Image.new("LA", (WIDTH, HEIGHT), (9, 8)).save(path),
    "copy": lambda path: path.with_name(f"b_{path.name}").write_bytes(path.read_bytes()),
    "notes": lambda path: (path.parent / "notes.txt").touch(),
    "hidden": lambda path: (path.parent / f"._{path.name}").touch(),
}


@settings(max_examples=examples("own"))
@given(
    kind=st.sampled_from(KINDS),
    patients=st.integers(1, 4),
    names=st.sampled_from([("",), ("_flair",), ("_t1", "_flair")]),
    table=st.booleans(),
    parts=st.lists(
        st.sampled_from(["train", "val", "test", "", "other"]), min_size=12, max_size=12
    ),
    changes=st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 99)), max_size=3),
    intensity=st.sampled_from(["zscore", "unit", "ct"]),
    size=st.sampled_from([16, 0.5]),
)
def test_every_patient_is_read_whole_or_named(
    kind: str,
    patients: int,
    names: tuple[str, ...],
    table: bool,
    parts: list[str],
    changes: list[tuple[str, int]],
    intensity: str,
    size: float,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "scans"
        rows = written(root, kind, patients, names)
        with (root / "table.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["image", "mask", "split"])
            for (first, *_, mask), part in zip(rows, parts, strict=False):
                image = str(first.relative_to(root))
                image = image.replace(names[0] + ".", "MODALITY.") if names != ("",) else image
                lines.writerow([image, mask.relative_to(root), part])
        for change, number in changes:
            files = sorted(path for path in root.rglob("*") if path.name.endswith(KINDS))
            files = [path for path in files if path.is_file()]
            try:
                CHANGES[change](files[number % len(files)])
            except (
                OSError,
                ValueError,
                ZeroDivisionError,
            ):  # what does not go together
                continue
        several = {each.strip("_"): each for each in names} if names != ("",) else None
        reader = Own(
            images=f"images/*{'MODALITY' if several else ''}.*",
            masks="masks/*.*",
            modalities=several,
            table="table.csv" if table else None,
        )
        for on_error in ("stop", "skip"):
            scans = Scans(reader, root=root, size=size, intensity=intensity, on_error=on_error)
            scans.cache_dir = Path(name) / "cache"
            try:
                scans.prepare()
            except (ValueError, FileNotFoundError) as error:
                first, *rest = str(error).splitlines()
                assert re.search(r"data\.|no slice is left", first), first
                assert all(str(root) in line or "patient" in line for line in rest), rest
                continue
            assert len(scans.images) == len(scans.masks) == len(scans.index)
            for row in range(len(scans.index)):
                assert np.isfinite(scans.image(row)).all()
                truth = scans.original_masks([row])[0, 0]
                tumour = scans.index["tumour"].iloc[row]
                assert (truth.shape, truth.sum()) == (scans.geometry(row).shape, tumour)
