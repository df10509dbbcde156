"""How soon a command trains, and what a sweep's cells spend beside training.

Real commands on a few tiny phantoms whose cache is warm, each in a process of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from benchmarks.row import Row, at_most
from benchmarks.scale import Scale
from brainseg.config import compose, instantiate
from brainseg.data.cache import Scans

ROOT = Path(__file__).resolve().parent.parent  # runs import `benchmarks.stamp` from here
IMPORTS = "import torch, lightning, albumentations"
STAMPS = "stamps.txt"
WORDS = (
    "data=phantom",
    "data.reader.patients=12",
    "data.reader.slices=[8,16]",
    "data.reader.size=64",
    "data.size=64",
    "model.net.width=16",
    "epochs=2",
    "+callbacks.stamp._target_=benchmarks.stamp.Stamp",
    f"+callbacks.stamp.path={STAMPS}",
)


@dataclass(frozen=True)
class Sweep:
    """A sweep's times in seconds.

    Attributes:
        first: from the command to the end of the first cell's first step.
        further: of each further cell, from the end of the cell before to that of its first step.
        beside: of each further cell, all but training, validation and scoring.
    """

    first: float
    further: Sequence[float]
    beside: Sequence[float]


def rows(scale: Scale) -> Iterator[Row]:
    """Start of a run, of a sweep, of a sweep's further cells; and what a cell spends beside."""
    imports: list[float] = []
    runs: list[float] = []
    sweeps: list[Sweep] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm(folder, WORDS)
        for turn in range(scale.starts):
            imports.append(run(folder, f"imports{turn}", ["-c", IMPORTS])[1])
            runs.append(_single(folder, f"run{turn}"))
            sweeps.append(_sweep(folder, f"sweep{turn}", scale.cells))
    first = [sweep.first for sweep in sweeps]
    yield Row("start of a run to its first step", IMPORTS, "s", runs, imports, at_most(1.5))
    yield Row("start of a sweep to its first step", IMPORTS, "s", first, imports, at_most(1.5))
    further = [seconds for sweep in sweeps for seconds in sweep.further]
    beside = [seconds for sweep in sweeps for seconds in sweep.beside]
    yield Row("a further cell to its first step", "limit", "s", further, [3.0], at_most(1))
    what = "a cell beside training, validation, scoring"
    yield Row(what, "limit", "s", beside, [4.0], at_most(1))


def _single(folder: Path, name: str) -> float:
    """Seconds from the command to the end of the first step."""
    start, _ = run(folder, name, ["-m", "brainseg.train", *WORDS])
    return _stamps(folder / name)[0] - start


def _sweep(folder: Path, name: str, cells: int) -> Sweep:
    seeds = ",".join(map(str, range(cells)))
    start, _ = run(folder, name, ["-m", "brainseg.train", "-m", f"seed={seeds}", *WORDS])
    finished = sorted((folder / name).rglob("metrics.json"), key=lambda p: p.stat().st_mtime_ns)
    ends = [path.stat().st_mtime for path in finished]
    spent = [json.loads(path.read_text())["seconds"] for path in finished]
    stamps = _stamps(folder / name)
    further = range(1, cells)
    return Sweep(
        first=stamps[0] - start,
        further=[stamps[k] - ends[k - 1] for k in further],
        beside=[ends[k] - ends[k - 1] - spent[k]["epochs"] - spent[k]["scoring"] for k in further],
    )


def warm(folder: Path, words: Sequence[str]) -> None:
    """Draw and decode the scans of a command in `folder`, so that it finds its cache."""
    with patch.dict(os.environ, environment(folder)):
        scans: Scans = instantiate(compose([w for w in words if w.startswith("data")]).data)
        scans.prepare()


def run(
    folder: Path, name: str, words: Sequence[str], given: Mapping[str, str] | None = None
) -> tuple[float, float]:
    """Run Python in `folder/name`; when it started (seconds since 1970), and seconds it took.

    Raises:
        RuntimeError: it failed; the message is what it printed.
    """
    (folder / name).mkdir()
    start = time.time()
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder / name,
        env=environment(folder) | dict(given or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.time() - start
    if done.returncode:
        raise RuntimeError(f"python {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return start, seconds


def environment(folder: Path) -> dict[str, str]:
    """Of a command that finds this package, and keeps its cache in a folder."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"BRAINSEG_CACHE": str(folder / "cache"), "PYTHONPATH": paths}


def _stamps(folder: Path) -> list[float]:
    return [float(line) for line in (folder / STAMPS).read_text().split()]
