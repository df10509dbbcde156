"""Files with bytes changed at random: a scan, or one line; never a traceback."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brainseg.predict.cases import Finder
from tests.predict.conftest import head, write_nifti

TRIES = int(os.environ.get("BRAINSEG_DAMAGE", "40"))  # by hand: thousands


def nifti(path: Path) -> None:
    write_nifti(path, head(3, 33, 34).astype(np.int16))


def zipped(path: Path) -> None:
    nifti(path.with_name("plain.nii"))
    path.write_bytes(gzip.compress(path.with_name("plain.nii").read_bytes()))


def picture(path: Path) -> None:
    Image.fromarray((head(1)[0] / 4).astype(np.uint8)).convert("RGB").save(path)


def pages(path: Path) -> None:
    each = [Image.fromarray((page / 4).astype(np.uint8)) for page in head(3)]
    each[0].save(path, save_all=True, append_images=each[1:])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.nii", nifti),
        ("a.nii.gz", zipped),
        ("a.png", picture),
        ("a.jpg", picture),
        ("a.tif", pages),
    ],
)
def test_a_damaged_file_is_a_scan_or_one_line(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / name
    make(path)
    whole = path.read_bytes()
    lines: list[str] = []
    for k in range(TRIES):
        draw = np.random.default_rng(k)
        raw = bytearray(whole)
        reach = len(raw) if k % 2 else min(400, len(raw))
        for place in draw.integers(0, reach, draw.integers(1, 6)):
            raw[place] = draw.integers(256)
        path.write_bytes(raw if k % 5 else raw[: draw.integers(len(raw))])
        try:
            scan = Finder().alone(path).read()
        except ValueError as error:
            lines.append(str(error))
        else:
            values = scan.sequences["flair"]
            assert (values.dtype, values.ndim) == (np.uint8, 3), k
    assert lines
    assert [line for line in lines if "\n" in line or str(path) not in line] == []
