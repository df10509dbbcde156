"""What went wrong, in one line with its remedy; the exit codes of a shell."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SHM = "start the container with --shm-size=2g"
INTERRUPTED, TERMINATED = 130, 143  # the shell's exit codes for Ctrl-C and SIGTERM
_REMEDY = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "free space on its disk",
    errno.EFBIG: "free space on its disk",
    errno.EROFS: "run in a folder that may be written",
    errno.EACCES: "run in a folder that may be written",
    errno.EPERM: "run in a folder that may be written",
}


def reason(error: Exception) -> str:
    """What went wrong and, where it is known, the remedy."""
    text, kind = str(error).strip(), type(error).__name__
    if text.startswith("Caught ") and "DataLoader worker" in text:
        text = text.splitlines()[-1].partition(": ")[2]  # before it, the worker's traceback
    first = text.partition("\n")[0]
    if "shared memory" in text or "Bus error" in text:
        return f"/dev/shm is too small for workers ({first}); set workers=0, or {_SHM}"
    if first.startswith("DataLoader worker"):  # killed
        remedy = "often out of memory: lower workers, or run the same command again"
        return f"a process that loads data ended ({first}); {remedy}"
    if "PytorchStreamWriter failed writing" in text:
        return "a checkpoint could not be written; free space on its disk"
    if isinstance(error, TypeError) and "argument" in text:
        return f"{first}; leave it out, or correct its name"
    if "AF_UNIX path too long" in first:
        return f"TMPDIR={os.environ.get('TMPDIR')} is too long for a socket; set a shorter one"
    if kind in ("MemoryError", "OutOfMemoryError") or "DefaultCPUAllocator" in text:
        remedy = "lower batch_size, data.size or model.net.width"
        return f"out of memory ({first or kind}); {remedy}"
    if isinstance(error, OSError) and error.errno in _REMEDY:
        if error.filename is None:  # as of a semaphore
            return f"a file, or /dev/shm: {error.strerror}; {_REMEDY[error.errno]}, or {_SHM}"
        return f"{error.filename}: {error.strerror}; {_REMEDY[error.errno]}"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}; check the path"
    if isinstance(error, ValueError | OSError | FloatingPointError):
        return text
    if kind in ("InductorError", "BackendCompilerFailed"):
        needs = "compile=true needs a C++ compiler and the headers of Python"
        return f"{first}; {needs}: install them, or set compile=false"
    if kind == "MisconfigurationException":  # Lightning's
        return f"{first}; correct trainer.KEY=... or callbacks.KEY=..."
    return f"{kind}: {first}"


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that what is under way is ended too."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
