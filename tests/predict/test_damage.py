"""Files with bytes changed at random: a scan, or one line; never a traceback."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from brainseg.export.publish import publish
from brainseg.predict.cases import Finder
from brainseg.predict.published import CARD, TENSORS, digest, load_published
from tests.predict.conftest import head, write_nifti
from tests.predict.test_dicom import write_series

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


def series(path: Path) -> None:
    write_series(path.parent, "FLAIR", [0])[0].replace(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.nii", nifti),
        ("a.nii.gz", zipped),
        ("a.png", picture),
        ("a.jpg", picture),
        ("a.tif", pages),
        ("a.dcm", series),
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


def test_damaged_weights_are_weights_or_one_line(run: Path, tmp_path: Path) -> None:
    """Of damaged tensors the checksum is made right, or nothing behind it would be reached."""
    publish(run, tmp_path / "w")
    whole = {name: (tmp_path / "w" / name).read_bytes() for name in (CARD, TENSORS)}
    lines: list[str] = []
    for k in range(TRIES):
        draw = np.random.default_rng(k)
        name = (CARD, TENSORS)[k % 2]
        raw = bytearray(whole[name])
        reach = len(raw) if name == CARD or k % 4 == 1 else 2000  # the header of safetensors
        for place in draw.integers(0, min(reach, len(raw)), draw.integers(1, 6)):
            raw[place] = draw.integers(32, 127)
        (tmp_path / "w" / name).write_bytes(raw if k % 7 else raw[: draw.integers(len(raw))])
        if name == TENSORS:
            card = json.loads(whole[CARD]) | {"sha256": digest(tmp_path / "w" / TENSORS)}
            (tmp_path / "w" / CARD).write_text(json.dumps(card))
        try:
            net, _ = load_published(tmp_path / "w")
            net(torch.zeros(1, 3, 32, 32))
        except ValueError as error:
            lines.append(str(error))
        for each, content in whole.items():
            (tmp_path / "w" / each).write_bytes(content)
    assert lines
    assert [line for line in lines if "\n" in line or str(tmp_path) not in line] == []
