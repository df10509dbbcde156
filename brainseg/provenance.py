"""How a result came about: data and code."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from brainseg.data.datamodule import SegmentationDataModule


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape the numbers."""
    packages = ("brainseg", "torch", "lightning", "albumentations", "opencv-python-headless")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def about_data(data: SegmentationDataModule) -> dict[str, Any]:
    """Fingerprint and size of the data: patients, slices, slices with tumour, slices left out."""
    index = data.scans.index
    return {
        "fingerprint": data.scans.fingerprint,
        "patients": len(data.patients),
        "slices": len(index),
        "tumour_slices": int((index["tumour"] > 0).sum()),
        "skipped": data.scans.skipped,
    }


def git_revision() -> str | None:
    """Revision of this code's checkout, `-dirty` if changed; None outside one, or without git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() or None
