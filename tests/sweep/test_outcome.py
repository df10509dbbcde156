"""How a try ended: one line, whatever else ends with it."""

import subprocess
import sys

LATE = """
import atexit, signal, subprocess, time
from brainseg.sweep.outcome import interrupted

def fail(*_):
    raise RuntimeError("DataLoader worker is killed by signal: Terminated.")

signal.signal(signal.SIGCHLD, fail)  # as torch does where loaders have processes
subprocess.Popen(["sleep", "0.2"])
atexit.register(time.sleep, 0.6)
interrupted(SystemExit(143), "the command")
"""


def test_a_loader_that_ends_after_an_interruption_says_nothing_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 143
    assert done.stderr.splitlines() == [
        "interrupted; the epoch under way is lost; resume with: the command"
    ]
