"""The command, as a user runs it, at sizes that only show that it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import SECTIONS

ROOT = Path(__file__).resolve().parents[2]


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unknown_section_ends_in_one_line_that_names_the_others(tmp_path: Path) -> None:
    done = bench(tmp_path, "--only", "speed")
    assert done.returncode == 2
    assert "invalid choice: 'speed'" in done.stderr
    assert all(name in done.stderr for name in SECTIONS)


@pytest.mark.slow
def test_every_row_is_measured_without_scans(tmp_path: Path) -> None:
    done = bench(tmp_path, "--quick", "--json", "rows.json")
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "rows.json").read_text())
    assert written["data"] == "phantoms"
    measured = [row for row in written["rows"] if "skipped" not in row]
    assert all(0 < row["ratio"] < float("inf") for row in measured if row["unit"] != "Dice")
    wanted = (
        "start of a run",
        "start of a sweep",
        "a further cell",
        "a cell beside",
        "training at once",
        "ours",
        "fed from the cache",
        "validation",
        "scoring",
        "building the cache",
        "peak memory",
        "pickled",
        "private memory",
        "val Dice after",
    )
    named = [row["what"] for row in written["rows"]]
    assert [part for part in wanted if not any(part in name for name in named)] == []
    assert {"plain loop, float32", "its convolutions alone"} <= {r["against"] for r in measured}
    peers = " ".join(row["against"] for row in written["rows"])
    assert "MONAI UNet" in peers
    assert "segmentation-models-pytorch" in peers
    assert [name for name in named if name not in done.stderr] == []
    assert "python -m benchmarks --quick" in done.stdout
    assert "Traceback" not in done.stderr
