"""Pictures of any depth as arrays, page by page; what is left out of one is noted."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

SMALLEST = 32  # pixels of a side
_GREY = ("1", "L", "I", "F")
_HEADERS = Lock()  # Python's warnings are those of all threads, and here they are errors


def header(path: Path) -> tuple[int, int, int]:
    """Pages, height and width of a picture; `ValueError` where it is none."""
    with _opened(path) as (picture, count):
        return count, picture.height, picture.width


def pages(path: Path, notes: list[str], *, labels: bool = False) -> list[NDArray[np.generic]]:
    """Every page [H, W, 1 or 3].

    Args:
        path: a PNG, JPEG or TIFF.
        notes: to which is added what is left out, such as an alpha channel.
        labels: whether the numbers of a palette of colours count, and not the colours.

    Raises:
        ValueError: it is no picture, is damaged or too small, or has other channels.
    """
    with _opened(path) as (picture, _):
        width, height = picture.size
        if min(width, height) < SMALLEST:
            raise ValueError(f"{path} is {width}x{height} pixels; at least {SMALLEST} a side")
        each = ImageSequence.Iterator(picture)
        return [_channels(page, path, notes, labels) for page in each]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, int]]:
    """A picture and how many pages it has; a page whose header is damaged would be left out."""
    try:
        with ExitStack() as stack:
            with _HEADERS, warnings.catch_warnings(action="error"):
                picture = stack.enter_context(Image.open(path))
                count = int(getattr(picture, "n_frames", 1))
            yield picture, count
    except Exception as error:  # Pillow raises a dozen kinds
        if str(path) in str(error) and isinstance(error, ValueError):
            raise
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is no picture that can be read ({why})") from error


def _channels(page: Image.Image, path: Path, notes: list[str], labels: bool) -> NDArray[np.generic]:
    if page.mode == "P" and labels:
        colours = np.asarray(page.convert("RGB"))
        grey = (colours == colours[..., :1]).all()  # whose order may be any
        return colours[..., :1] if grey else np.asarray(page)[..., None]
    if page.mode in ("P", "PA"):
        page = page.convert("RGBA" if "transparency" in page.info else "RGB")
    if page.mode in ("LA", "RGBA"):
        note = "its alpha channel is left out"
        notes += [note] if note not in notes else []
        page = page.convert(page.mode[:-1])
    if page.mode in _GREY or page.mode.startswith("I;"):
        return np.asarray(page)[..., None]
    if page.mode == "RGB":
        return np.asarray(page)
    raise ValueError(
        f"{path} has channels {page.mode} ({len(page.getbands())}); must be grey, or three "
        "channels: pre, FLAIR, post"
    )
