"""Picture files as pixels: whole, or refused with the reason; never narrowed or read in part."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SUFFIXES = (".tif", ".tiff", ".png")  # of files that keep every pixel; in any case

Pixels = NDArray[np.uint8]


def read_slice(image: Path, mask: Path) -> tuple[list[Pixels], list[str]]:
    """Image [H, W, 3] and mask [H, W], and what is wrong with them, a line each with its path."""
    arrays: list[Pixels] = []
    problems: list[str] = []
    for path, decode in ((image, decode_image), (mask, decode_mask)):
        try:
            arrays.append(decode(path))
        except ValueError as error:
            problems.append(f"{path}: {error}")
    if not problems and arrays[0].shape[:2] != arrays[1].shape:
        problems.append(f"{mask}: {size(arrays[1].shape)}, its image {size(arrays[0].shape)}")
    return arrays, problems


def size(shape: tuple[int, ...]) -> str:
    """Height and width in words."""
    return f"{shape[0]}x{shape[1]} pixels"


def decode_image(path: Path) -> Pixels:
    """A slice [H, W, 3].

    Raises:
        ValueError: it is unreadable, truncated, or not one page of 3 channels of 8 bits, upright.
    """
    mode, pixels = _decode(path)
    if mode != "RGB":
        raise ValueError(f"{_channels(mode, pixels)}, must be 3 of uint8")
    return pixels


def decode_mask(path: Path) -> Pixels:
    """A mask [H, W] of 0 and 1, from a file of 0 and 255, or of 0 and 1.

    Raises:
        ValueError: as `decode_image`, of one channel; or it holds other values.
    """
    mode, pixels = _decode(path)
    if mode not in ("1", "L"):
        raise ValueError(f"{_channels(mode, pixels)}, a mask's must be 1 of uint8")
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
            wrong = _not_read_whole(picture)
            if not wrong:
                return picture.mode, np.asarray(picture)
    except Exception as error:  # Pillow raises a dozen kinds on damaged files
        reason = getattr(error, "strerror", None) or "unreadable or truncated"
        raise ValueError(reason) from error
    raise ValueError(wrong)


def _not_read_whole(picture: Image.Image) -> str:
    """What of a picture Pillow would leave out or change without a word; empty for nothing."""
    if (pages := getattr(picture, "n_frames", 1)) > 1:
        return f"{pages} pages, must be 1; save each slice as a file of its own"
    tiles = getattr(picture, "tile", ())
    layout = tiles[0].args if tiles else ""  # such as RGB;16B
    if ";16" in str(layout if isinstance(layout, str) else layout[0]):
        return f"{picture.mode} of 16 bits, must be of 8; scale it to 0 to 255"
    if (turned := picture.getexif().get(274, 1)) != 1:
        return f"stored turned (orientation {turned}), must be upright; save it so"
    return ""


def _channels(mode: str, pixels: NDArray[Any]) -> str:
    what = {"P": "a palette, ", "LAB": "L*a*b*, ", "HSV": "HSV, ", "YCbCr": "YCbCr, "}.get(mode, "")
    return f"{what}{pixels.shape[2] if pixels.ndim == 3 else 1} channels of {pixels.dtype}"
