"""Pictures of every mode, and masks of 0 and 255 with the same size."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brainseg.predict.pictures import read
from tests.predict.conftest import head


def grey() -> np.ndarray:
    return head(1, 47, 33)[0]


def channels() -> np.ndarray:
    return np.stack([grey() * 0.5, grey(), grey()[::-1]], -1).clip(0, 255).astype(np.uint8)


PICTURES: dict[str, Any] = {
    "L.png": lambda: Image.fromarray((grey() / 4).astype(np.uint8)),
    "16.png": lambda: Image.fromarray((grey() * 60).astype(np.uint16)),
    "16.tif": lambda: Image.fromarray((grey() * 60).astype(np.uint16)),
    "F.tif": lambda: Image.fromarray(grey().astype(np.float32)),
    "RGB.tif": lambda: Image.fromarray(channels()),
    "RGB.jpg": lambda: Image.fromarray(channels()),
    "RGBA.png": lambda: Image.fromarray(channels()).convert("RGBA"),
    "LA.png": lambda: Image.fromarray((grey() / 4).astype(np.uint8)).convert("LA"),
    "P.png": lambda: Image.fromarray(channels()).quantize(16),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_any_mode_gives_a_mask_of_its_size(name: str, tmp_path: Path) -> None:
    PICTURES[name]().save(tmp_path / name)
    scan = read("a", [tmp_path / name])
    assert set(scan.sequences) == ({"flair"} if name[0] in "L1F" else {"pre", "flair", "post"})
    for each in scan.sequences.values():
        assert (each.dtype, each.shape) == (np.uint8, (1, 47, 33))
    wanted = scan.sequences["flair"] > 120
    (path,) = scan.write(wanted, tmp_path / "a", "mask")
    assert path.suffix == {"jpg": ".png"}.get(name.rpartition(".")[2], f".{name[-3:]}")
    mask = np.asarray(Image.open(path))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, np.where(wanted[0], 255, 0))
    assert any("lone slice" in note for note in scan.notes)
    assert any("alpha" in note for note in scan.notes) == ("A" in name)
    assert any("became 0 to 255" in note for note in scan.notes) == (name[0] in "1F")


def test_the_pages_of_a_tiff_are_slices_and_the_mask_has_as_many(tmp_path: Path) -> None:
    pages = [Image.fromarray((page / 4).astype(np.uint8)) for page in head(4)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    scan = read("a", [tmp_path / "a.tif"])
    assert scan.sequences["flair"].shape == (4, 40, 36)
    (path,) = scan.write(scan.sequences["flair"] > 200, tmp_path / "a", "mask")
    with Image.open(path) as mask:
        assert mask.n_frames == 4
    assert not any("lone slice" in note for note in scan.notes)


def test_a_channel_that_copies_flair_is_missing(tmp_path: Path) -> None:
    image = channels()
    image[..., 2] = image[..., 1]
    Image.fromarray(image).save(tmp_path / "a.tif")
    scan = read("a", [tmp_path / "a.tif"])
    assert set(scan.sequences) == {"pre", "flair"}
    assert scan.missing(["pre", "flair", "post"]) == ["post"]
    assert np.array_equal(scan.volume(["pre", "flair", "post"])[..., 2], scan.sequences["flair"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_bytes(b"no picture"), "is no picture that can be read"),
        (lambda p: Image.new("L", (31, 200)).save(p), "is 31x200 pixels; at least 32"),
        (lambda p: Image.new("L", (64, 64), 7).save(p), "has one grey value, 7"),
        (lambda p: Image.new("CMYK", (64, 64)).save(p, "TIFF"), "has channels CMYK"),
        (
            lambda p: (Image.new("L", (64, 64)).save(p), p.write_bytes(p.read_bytes()[:60])),
            "is no picture that can be read",
        ),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(make: Any, message: str, tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    with pytest.raises(ValueError, match=message) as refused:
        read("a", [tmp_path / "a.png"])
    assert "\n" not in str(refused.value)


def test_a_header_that_claims_a_hundred_thousand_pixels_a_side_is_refused_unread(
    tmp_path: Path,
) -> None:
    Image.new("1", (64, 64)).save(tmp_path / "a.png")
    raw = bytearray((tmp_path / "a.png").read_bytes())
    raw[16:24] = (100_000).to_bytes(4, "big") * 2
    raw[29:33] = zlib.crc32(bytes(raw[12:29])).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(raw)
    with pytest.raises(ValueError, match="exceeds limit"):
        read("a", [tmp_path / "a.png"])
