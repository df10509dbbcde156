"""Commands in copies of one process that has done the imports, which take most of a short one."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

IMPORTED = ("brainseg.training.fit", "brainseg.models.unet", "torch.utils.tensorboard")


class Commands:
    """Runs `python -m brainseg.train`, one after the other, until it is closed."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.forked"],
            cwd=Path(__file__).resolve().parents[1],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` in `folder`; both streams are in `stdout`."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([str(folder), *words]) + "\n")
        self._server.stdin.flush()
        status, said = json.loads(self._server.stdout.readline())
        return subprocess.CompletedProcess(words, status, said, "")

    def close(self) -> None:
        """End it."""
        self._server.communicate()


def _serve() -> None:
    for name in IMPORTED:
        __import__(name)
    for line in sys.stdin:
        folder, *words = json.loads(line)
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            os.chdir(folder)
            for stream in (1, 2):
                os.dup2(theirs, stream)
            sys.argv = ["brainseg.train", *words]
            runpy.run_module("brainseg.train", run_name="__main__", alter_sys=True)
            sys.exit(0)
        os.close(theirs)
        with os.fdopen(ours) as stream:
            said = stream.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(json.dumps([status, said]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
