"""The table of all rows, and what it was measured on."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.row import Row

PACKAGES = ("torch", "lightning", "albumentations", "monai", "segmentation-models-pytorch")


def table(rows: Sequence[Row]) -> Table:
    """A Markdown table; each value is the median, with its range over the rounds."""
    shown = Table("what", "against", "ours", "theirs", "ratio", "target", "met", box=box.MARKDOWN)
    for row in rows:
        if row.skipped:
            shown.add_row(row.what, row.against, "", "", "", "", f"skipped: {row.skipped}")
            continue
        shown.add_row(
            row.what,
            row.against,
            f"{_number(row.ours)} {row.unit}",
            f"{_number(row.theirs)} {row.unit}",
            _spread(row.ratios, row.ratio),
            "" if row.target is None else str(row.target),
            {True: "yes", False: "NO", None: ""}[row.met],
        )
    return shown


def conditions(command: str) -> dict[str, Any]:
    """Machine, versions, precision, data, date and command."""
    import torch

    from brainseg.hardware import resolve

    chosen = resolve({"accelerator": "auto", "precision": "auto"})
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {gpu}",
        "precision": f"ours {chosen['precision']} and channels_last, theirs as named",
        "data": "LGG" if os.environ.get("BRAINSEG_DATA") else "phantoms",
        "versions": f"Python {platform.python_version()}, " + ", ".join(filter(None, _versions())),
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
    }


def as_json(row: Row) -> dict[str, Any]:
    """A row as plain containers."""
    named = {"what": row.what, "against": row.against}
    if row.skipped:
        return named | {"skipped": row.skipped}
    return named | {
        "unit": row.unit,
        "ours": list(row.ours),
        "theirs": list(row.theirs),
        "ratio": row.ratio,
        "target": None if row.target is None else str(row.target),
        "met": row.met,
    }


def _number(values: Sequence[float]) -> str:
    return f"{sorted(values)[len(values) // 2]:.3g}"


def _spread(values: Sequence[float], middle: float) -> str:
    if len(values) == 1:
        return f"{middle:.2g}" if middle < 0.1 else f"{middle:.2f}"
    return f"{middle:.2f} ({min(values):.2f} to {max(values):.2f})"


def _versions() -> list[str]:
    return [f"{name} {_version(name)}" for name in PACKAGES if _version(name)]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    """Name of the processor, as Linux has it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
