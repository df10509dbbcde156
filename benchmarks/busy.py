"""Several trainings at once, none of which knows of the others, beside one thread each."""

import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from benchmarks.row import Row, at_least
from benchmarks.scale import Scale
from benchmarks.start import environment, warm


def rows(scale: Scale) -> Iterator[Row]:
    """Epochs an hour of each training: alone, two and three at once."""
    epochs, size, most = scale.busy
    words = ["-m", "brainseg.train", "data=phantom", "data.reader.patients=6", "trainer=cpu"]
    words += [f"data.size={size}", "model.net.width=16", f"epochs={epochs}"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm(folder, words)
        for number in range(1, most + 1):
            ours = _at_once(folder, f"ours{number}", words, number, {})
            one = _at_once(folder, f"one{number}", words, number, {"OMP_NUM_THREADS": "1"})
            what = f"{number} training{'s' * (number > 1)} at once, each"
            yield Row(what, "one thread each", "epochs/h", [ours], [one], at_least(0.8))


def _at_once(
    folder: Path, name: str, words: list[str], number: int, given: dict[str, str]
) -> float:
    """Epochs an hour of each of `number` runs, their first and last ones left out."""
    each = [folder / f"{name}-{k}" for k in range(number)]
    started = []
    for path in each:
        path.mkdir()
        command = [sys.executable, *words, f"name={name}"]
        started.append(
            subprocess.Popen(
                command,
                cwd=path,
                env=environment(folder) | given,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
    codes = [process.wait() for process in started]
    if any(codes):
        raise RuntimeError(f"{' '.join(words)} failed: exit codes {codes}")
    seconds = []
    for path in each:
        with (path / "outputs" / name / "history.csv").open() as file:
            spent = [float(row["seconds"]) for row in csv.DictReader(file)]
        seconds.append(mean(spent[1:-1] or spent))
    return 3600 / mean(seconds)
