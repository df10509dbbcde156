"""`report.json` beside the masks: what was done with which weights, and each case."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from brainseg.files import write_whole
from brainseg.predict.scan import Scan, bounds

REPORT, STATISTICS = "report.json", "statistics.csv"
COLUMNS = ("name", "pixels", "ml", "components", "slices", "slices_with_tumour", "box", "missing")


def measure(scan: Scan, mask: NDArray[np.bool_], order: Sequence[str]) -> dict[str, Any]:
    """What a mask holds.

    Args:
        scan: the case.
        mask: [D, H, W].
        order: the sequences that the network sees.
    """
    pixels = int(np.count_nonzero(mask))
    box = bounds(mask)
    inside = mask[tuple(slice(low, high + 1) for low, high in box)]
    _, components = ndimage.label(inside, ndimage.generate_binary_structure(3, 3))
    size: dict[str, float] = {"pixels": pixels}
    if scan.spacing is not None:
        size |= {"ml": round(pixels * math.prod(scan.spacing) / 1000, 3)}
    return {
        **size,
        "components": int(components),
        "box": box
        if pixels
        else None,  # first and last slice, row and column, from 0, as the preview shows them
        "slices": len(mask),
        "slices_with_tumour": int(inside.any((1, 2)).sum()),
        "sequences": {name: list(map(str, paths)) for name, paths in scan.files.items()},
        "missing": scan.missing(order),
        "notes": scan.notes,
    }


def statistics(folder: Path, cases: Sequence[Mapping[str, Any]]) -> Path:
    """Write a row of each case, of what `measure` found; `failed` says why there is nothing."""
    import pandas as pd

    columns = [*COLUMNS, "failed"]
    rows = [{key: case.get(key) for key in columns} for case in cases]
    pd.DataFrame(rows, columns=columns).to_csv(folder / STATISTICS, index=False)
    return folder / STATISTICS


def checksum(files: Sequence[Path], *settings: object) -> str:
    """SHA-256 of files and settings: equal where the result would be."""
    found = hashlib.sha256(repr(settings).encode())
    for path in files:
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The cases of an earlier call, by name; empty without one.

    Raises:
        ValueError: the report is broken.
    """
    path = folder / REPORT
    try:
        return {str(case["name"]): dict(case) for case in json.loads(path.read_text())["cases"]}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is broken; delete it, or give --force") from error


def write(folder: Path, head: dict[str, Any], cases: Sequence[dict[str, Any]]) -> None:
    """Write the report, whole."""
    write_whole(folder / REPORT, json.dumps({**head, "cases": list(cases)}, indent=1))
