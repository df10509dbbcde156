"""Cells of a sweep side by side, beside the same cells one after the other with all cores."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.row import Row, at_most
from benchmarks.scale import Scale
from benchmarks.start import WORDS, run, warm

SMALL = (
    *(word for word in WORDS if word.startswith(("data", "+data"))),
    "model.net.width=8",  # the demo's; at width 16 one cell keeps two cores busy by itself
)


def rows(scale: Scale) -> Iterator[Row]:
    """Seconds of a whole sweep of small cells, its start among them."""
    cells, epochs, turns = scale.beside
    seeds = ",".join(map(str, range(cells)))
    words = ["-m", "brainseg.train", "-m", f"seed={seeds}", f"epochs={epochs}", *SMALL]
    both: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        warm(Path(name), SMALL)
        for turn in range(turns):
            for jobs, seconds in both.items():
                _, taken = run(Path(name), f"jobs{jobs}-{turn}", [*words, f"jobs={jobs}"])
                seconds.append(taken)
    what = f"a sweep of {cells} small cells, jobs=2"
    yield Row(what, "jobs=1, all cores", "s", both[2], both[1], at_most(0.65))
