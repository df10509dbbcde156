"""Pictures as scans: grey ones are FLAIR, three channels are pre, FLAIR and post, as in LGG."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainseg.data.grey import to_bytes
from brainseg.data.pages import pages
from brainseg.predict.scan import FLAIR, Scan

CHANNELS = ("pre", FLAIR, "post")


def read(name: str, paths: Sequence[Path]) -> Scan:
    """One case of pictures of one size, a slice each, or several in a TIFF of many pages.

    Args:
        name: of the case.
        paths: in the order of the slices.

    Raises:
        ValueError: a file is no picture, is damaged or too small, or the sizes differ.
    """
    notes: list[str] = []
    files = [pages(path, notes) for path in paths]
    every = [page for file in files for page in file]
    shapes = {page.shape for page in every}
    if len(shapes) > 1:
        sizes = ", ".join("x".join(map(str, shape[:2])) for shape in sorted(shapes))
        raise ValueError(f"{paths[0]} and its other slices differ in size or channels: {sizes}")
    volume = np.stack(every)  # [D, H, W, C]
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
        grey = to_bytes(values, f"{paths[0]} {sequence}")
        sequences[sequence] = grey.bytes
        notes += [grey.note] if grey.note else []
    if len(paths) > 1:
        span = f"{paths[0].name} to {paths[-1].name}"
        notes.append(f"{len(paths)} numbered pictures, {span}: taken as one volume's slices")
    if len(every) == 1:
        notes.append("a lone slice: scaled by itself, not by its volume, which costs accuracy")
    write = partial(_write, list(paths), [len(file) for file in files])
    return Scan(name, sequences, dict.fromkeys(sequences, paths), write, notes=notes)


def _write(
    paths: list[Path], counts: list[int], values: NDArray[Any], stem: Path, what: str
) -> list[Path]:
    """Masks of 0 and 255 beside names like the scans', or labels; probabilities as 32 bit TIFF."""
    written, first = [], 0
    for path, count in zip(paths, counts, strict=True):
        part = values[first : first + count]
        first += count
        ending = path.suffix.lower() if path.suffix.lower() in (".png", ".tif", ".tiff") else ".png"
        if values.dtype == np.bool_:
            part = np.where(part, 255, 0).astype(np.uint8)
        elif values.dtype != np.uint8:
            part, ending = part.astype(np.float32), ".tif"
        pages = [Image.fromarray(page) for page in part]
        name = stem.name if len(paths) == 1 else path.stem
        target = stem.with_name(f"{name}_{what}{ending}")
        partial_path = target.with_name(f".{target.name}.part")
        kind = "PNG" if ending == ".png" else "TIFF"
        more = {"save_all": True, "append_images": pages[1:]} if len(pages) > 1 else {}
        pages[0].save(partial_path, kind, **more)
        partial_path.replace(target)
        written.append(target)
    return written
