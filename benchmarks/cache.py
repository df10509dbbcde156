"""Building the cache, against decoding the same files alone; and its peak memory."""

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.interleave import Contender, interleave
from benchmarks.row import Row, at_least, at_most
from benchmarks.scale import Scale
from brainseg.data.lgg import LGG
from brainseg.data.phantom import Phantom
from brainseg.data.prepare import prepare
from brainseg.data.preprocessing import Preprocessing

PIXELS = 256  # height and width of the files, as in LGG
SIZE = 128  # of the cached slices: they have to be resized
LIMIT = 1024.0  # MB


def rows(scale: Scale) -> Iterator[Row]:
    """Speed of building and its peak memory, in a new process that imports no torch."""
    patients, slices = scale.files
    with tempfile.TemporaryDirectory() as name:
        phantom = Phantom(patients=patients, slices=(slices, slices), size=PIXELS)
        found = phantom.find(Path(name) / "files").patients
        files = [path for patient in found for path in (*patient.images, *patient.masks)]
        folders = files[0].parent.parent, Path(name) / "cache"
        pool = multiprocessing.get_context("spawn").Pool(1)
        contenders: dict[str, Contender] = {
            "build": lambda: patients * slices / pool.apply(build, folders),
            "decode": lambda: patients * slices / pool.apply(decode, (files,)),
        }
        speeds = interleave(contenders, scale.rounds)
        peak = pool.apply(peak_memory)
        pool.close()  # a pool that is terminated leaves its locks behind
        pool.join()
    what = f"building the cache of {len(files)} TIFFs"
    yield Row(what, "decoding them", "slices/s", speeds["build"], speeds["decode"], at_least(0.7))
    if sys.platform == "linux":
        yield Row(f"{what}, peak memory", "limit", "MB", [peak], [LIMIT], at_most(1))
    else:
        yield Row(f"{what}, peak memory", "limit", skipped="read from /proc on Linux alone")


def build(root: Path, cache: Path) -> float:
    """Seconds of building a cache."""
    start = time.perf_counter()
    folder, _ = prepare(
        LGG(),
        root,
        Preprocessing(SIZE, crop=False, denoise="none", intensity="zscore", channels=(0, 1, 2)),
        cache_dir=cache,
    )
    seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return seconds


def decode(files: Sequence[Path]) -> float:
    """Seconds of decoding files on all cores, and nothing else."""
    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for pixels in pool.map(_decode, files):
            assert pixels.size
    return time.perf_counter() - start


def peak_memory() -> float:
    """Peak resident memory of this process in MB.

    Not `ru_maxrss`: that of a new process begins with what its parent had.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan")
    (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _decode(path: Path) -> np.ndarray:
    with Image.open(BytesIO(path.read_bytes())) as picture:  # as fast as it gets in threads
        return np.asarray(picture)
