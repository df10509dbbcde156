"""`data.size` as a share: the smallest multiple of 16 that keeps it, of heads or of images."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brainseg.config import check_types, compose
from brainseg.data.cache import Scans
from brainseg.data.lgg import LGG
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.size import size_of


@pytest.mark.parametrize(
    ("share", "sides", "size"),
    [
        (0.5, [256], 128),
        (0.5, [257], 144),
        (0.5, [205, 236, 256], 128),
        (1.0, [205, 236, 256], 240),
        (0.1, [256, None], 32),
        (0.7, [160], 112),  # 0.7 * 160 is 112 exactly, and must not become 128
        (0.5, [], 16),
        (1.0, [9000], 4096),
    ],
)
def test_the_smallest_multiple_of_16_that_keeps_the_share_of_the_median(
    share: float, sides: Sequence[int | None], size: int
) -> None:
    assert size_of(share, sides) == size


def test_auto_is_half_of_each_image_and_what_was_chosen_is_said_at_every_start(
    write_lgg: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    root = write_lgg({"TCGA_AA_0001_20000101": 3}, folder="share/kaggle_3m")
    height = np.asarray(Image.open(next(root.glob("*/*_1.tif")))).shape[0]
    wanted = -(-height // 2 // 16) * 16
    for _ in range(2):
        caplog.clear()
        scans = Scans(LGG(), root=root, size="auto", cache_dir=tmp_path)
        scans.prepare()
        assert scans.images.shape[1:3] == (wanted, wanted)
        assert scans.preprocessing.size == scans.preprocessing.pixels == wanted
        assert f"data.size=0.5 is {wanted} px: images have {height} to {height}" in caplog.text
    assert Preprocessing.from_state(scans.preprocessing.state()).size == wanted


def test_cropped_heads_are_measured_by_what_is_cut_out(
    write_lgg: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    root = write_lgg({"TCGA_AA_0001_20000101": 3}, folder="heads/kaggle_3m")
    scans = Scans(LGG(), root=root, size=1.0, crop=True, cache_dir=tmp_path)
    scans.prepare()
    side = scans.geometry(0).box.side
    assert scans.preprocessing.pixels == -(-side // 16) * 16
    assert f"heads have {side} to {side} px" in caplog.text


def test_a_patient_without_a_sound_slice_is_not_measured(
    write_lgg: Callable[..., Path], tmp_path: Path
) -> None:
    names = {"TCGA_AA_0001_20000101": 3, "TCGA_AA_0002_20000101": 2}
    root = write_lgg(names, folder="broken/kaggle_3m")
    for path in (root / "TCGA_AA_0002_20000101").glob("*.tif"):
        path.write_bytes(b"no picture")
    scans = Scans(LGG(), root=root, size="auto", on_error="skip", cache_dir=tmp_path)
    scans.prepare()
    assert list(scans.index["patient"].unique()) == ["TCGA_AA_0001_20000101"]


@pytest.mark.parametrize("size", [0, 0.0, 1.5, -0.5, 5000, True])
def test_what_is_neither_pixels_nor_a_share_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match=f"data.size={size}; must be .* or a share"):
        Scans(LGG(), size=size)


def test_another_word_than_auto_is_refused_by_its_name() -> None:
    with pytest.raises(
        ValueError, match=r"data.size='half' must be a whole number or a number or one of"
    ):
        check_types({**compose(["data.size=half"])["data"]}, "data")
