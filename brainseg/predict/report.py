"""`report.json` beside the masks: what was done with which weights, and each case."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from brainseg.files import write_whole
from brainseg.predict.scan import FLAIR, Scan, bounds

REPORT, STATISTICS = "report.json", "statistics.csv"
_OF_A_MASK = ("pixels", "ml", "components", "box", "slices_with_tumour")
COLUMNS = ("name", "region", *_OF_A_MASK, "slices", "missing", "failed")


def measure(
    scan: Scan, mask: NDArray[np.bool_], order: Sequence[str], regions: Sequence[str]
) -> dict[str, Any]:
    """What a mask holds: of all regions together, and of each under `regions`.

    Args:
        scan: the case.
        mask: [K, D, H, W].
        order: the sequences that the network sees.
        regions: K names.
    """
    each = {name: _of_a_mask(scan, one) for name, one in zip(regions, mask, strict=True)}
    alone = each[regions[0]] if len(regions) == 1 else None
    return {
        **(alone or _of_a_mask(scan, np.logical_or.reduce(mask))),
        "slices": mask.shape[1],
        "regions": each,
        "sequences": {name: list(map(str, paths)) for name, paths in scan.files.items()},
        "missing": scan.missing(order),
        "main": scan.main,
        "notes": scan.notes,
    }


def _of_a_mask(scan: Scan, mask: NDArray[np.bool_]) -> dict[str, Any]:
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
        "slices_with_tumour": int(inside.any((1, 2)).sum()),
    }


def told(entry: Mapping[str, Any]) -> list[str]:
    """What the command says of a case that is done."""
    used = "; ".join(
        f"{name} = {Path(paths[0]).name}" for name, paths in entry["sequences"].items()
    )
    if entry["missing"]:
        stand_in = "FLAIR" if entry["main"] == FLAIR else entry["main"]
        used += f"; {stand_in} stands in for {', '.join(entry['missing'])}"
    size, parts = _size(entry), entry["regions"]
    if len(parts) > 1:
        size += f" ({', '.join(f'{name} {_size(each)}' for name, each in parts.items())})"
    found = f"{size} in {entry['components']} parts, {entry['slices_with_tumour']} slices"
    found = found if entry["pixels"] else "no tumour found"
    lines = [used, *entry["notes"], f"written: {entry['written'][0]}"]
    return [f"{entry['name']}: {found}, {entry['seconds']} s", *(f"    {line}" for line in lines)]


def _size(found: Mapping[str, Any]) -> str:
    return f"{found['ml']:.1f} ml" if "ml" in found else f"{found['pixels']} pixels"


def statistics(folder: Path, cases: Sequence[Mapping[str, Any]]) -> Path:
    """Write a row of each case and region; `failed` says why there is nothing."""
    import pandas as pd

    rows = [
        {**case, "region": region, **found}
        for case in cases
        for region, found in case.get("regions", {"": {}}).items()
    ]
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(folder / STATISTICS, index=False)
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
        cases = [dict(case) for case in json.loads(path.read_text())["cases"]]
        for each in cases:
            each["written"] = [str(Path(name)) for name in each.get("written", ())]
        return {str(case["name"]): case for case in cases}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is broken; delete it, or give --force") from error


def remove_others(
    folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[Path]:
    """Remove what an earlier call wrote of a case and this one did not: it is of another mask."""
    written = {Path(path).name for path in now["written"]}
    for name in (Path(path).name for path in before.get("written", ())):
        if name not in written and (folder / name).is_file():
            (folder / name).unlink()
            yield folder / name


def write(folder: Path, head: dict[str, Any], cases: Sequence[dict[str, Any]]) -> None:
    """Write the report, whole."""
    write_whole(folder / REPORT, json.dumps({**head, "cases": list(cases)}, indent=1))
