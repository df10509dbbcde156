"""Pictures as scans: grey ones are FLAIR, three channels are pre, FLAIR and post, as in LGG."""

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from brainseg.data.grey import to_bytes
from brainseg.predict.scan import FLAIR, Scan

SMALLEST = 32  # pixels of a side
CHANNELS = ("pre", FLAIR, "post")
_GREY = ("1", "L", "I", "F")


def read(name: str, paths: Sequence[Path]) -> Scan:
    """One case of pictures of one size, a slice each, or several in a TIFF of many pages.

    Args:
        name: of the case.
        paths: in the order of the slices.

    Raises:
        ValueError: a file is no picture, is damaged or too small, or the sizes differ.
    """
    notes: list[str] = []
    files = [_pages(path, notes) for path in paths]
    pages = [page for file in files for page in file]
    shapes = {page.shape for page in pages}
    if len(shapes) > 1:
        sizes = ", ".join("x".join(map(str, shape[:2])) for shape in sorted(shapes))
        raise ValueError(f"{paths[0]} and its other slices differ in size or channels: {sizes}")
    volume = np.stack(pages)  # [D, H, W, C]
    if volume.shape[-1] == 1:
        found = {FLAIR: volume[..., 0]}
    else:
        found = {channel: volume[..., k] for k, channel in enumerate(CHANNELS)}
        for channel in ("pre", "post"):
            if np.array_equal(found[channel], found[FLAIR]):
                del found[channel]
                notes.append(f"its channel of {channel} is a copy of FLAIR: taken as missing")
    sequences = {}
    for sequence, values in found.items():
        sequences[sequence], note = to_bytes(values, f"{paths[0]} {sequence}")
        notes += [note] if note else []
    if len(paths) > 1:
        span = f"{paths[0].name} to {paths[-1].name}"
        notes.append(f"{len(paths)} numbered pictures, {span}: taken as one volume's slices")
    if len(pages) == 1:
        notes.append("a lone slice: scaled by itself, not by its volume, which costs accuracy")
    write = partial(_write, list(paths), [len(file) for file in files])
    return Scan(name, sequences, dict.fromkeys(sequences, paths), write, notes=notes)


def _pages(path: Path, notes: list[str]) -> list[NDArray[np.generic]]:
    """Every page [H, W, 1 or 3]."""
    try:
        with warnings.catch_warnings(action="error"), Image.open(path) as picture:
            width, height = picture.size
            if min(width, height) < SMALLEST:
                raise ValueError(f"{path} is {width}x{height} pixels; at least {SMALLEST} a side")
            return [_channels(page, path, notes) for page in ImageSequence.Iterator(picture)]
    except Exception as error:  # Pillow raises a dozen kinds
        if str(path) in str(error) and isinstance(error, ValueError):
            raise
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is no picture that can be read ({why})") from error


def _channels(page: Image.Image, path: Path, notes: list[str]) -> NDArray[np.generic]:
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


def _write(paths: list[Path], counts: list[int], values: NDArray[Any], stem: Path) -> list[Path]:
    """Masks of 0 and 255 beside names like the scans'; probabilities as 32 bit TIFF."""
    written, first = [], 0
    for path, count in zip(paths, counts, strict=True):
        part = values[first : first + count]
        first += count
        single = stem.name if len(paths) == 1 else f"{path.stem}{_suffix(stem.name)}"
        ending = path.suffix.lower() if path.suffix.lower() in (".png", ".tif", ".tiff") else ".png"
        if values.dtype == np.bool_:
            pages = [Image.fromarray(np.where(page, 255, 0).astype(np.uint8)) for page in part]
        else:
            pages, ending = [Image.fromarray(page.astype(np.float32)) for page in part], ".tif"
        target = stem.with_name(f"{single}{ending}")
        partial_path = target.with_name(f".{target.name}.part")
        kind = "PNG" if ending == ".png" else "TIFF"
        more = {"save_all": True, "append_images": pages[1:]} if len(pages) > 1 else {}
        pages[0].save(partial_path, kind, **more)
        partial_path.replace(target)
        written.append(target)
    return written


def _suffix(name: str) -> str:
    """What the command puts behind the name of a case: `_mask` or `_probabilities`."""
    return f"_{name.rpartition('_')[2]}"
