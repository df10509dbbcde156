"""How a result came about: data, code, machine."""

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

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


def hardware() -> dict[str, Any]:
    """Name of the GPU, else what CPU and how many cores; threads that torch uses."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "device": gpu or f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "platform": platform.system(),
        "torch_threads": torch.get_num_threads(),
    }


def peak_memory() -> dict[str, float]:
    """Highest memory of this process so far, in MB: resident on the host, allocated on the GPU."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB on Linux
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    return {"host": round(host, 1), "gpu": round(gpu, 1)}


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
