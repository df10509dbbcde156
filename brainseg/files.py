"""Files written whole, by one process at a time."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from filelock import FileLock, SoftFileLock, Timeout

log = logging.getLogger(__name__)


@contextmanager
def only_one(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock file; a second process says so and waits. A killed process drops it.

    Args:
        lock: the file; it stays.
        what: what the other process is said to be doing, such as `/runs/a is being trained`.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    if not lock.exists():  # FileLock would wait for ever where nothing can be written, as in /proc
        TemporaryFile(dir=lock.parent).close()
    file = FileLock(lock)
    try:
        held = file.acquire(timeout=0.3, poll_interval=0.05)  # `held` may be looking
    except Timeout:
        log.info("%s by another process; waiting for it", what)
        held = file.acquire()
    if isinstance(file, SoftFileLock):  # what filelock falls back to
        log.warning(
            "this disk has no locks: where a process is killed, delete %s before the next try", lock
        )
    with held:
        yield


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is either there and whole, or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may leave the new name without the text
    partial.replace(path)


def held(lock: Path) -> bool:
    """Whether a process holds a lock; asks for a shared one, and so needs only to read."""
    import fcntl  # Linux and macOS: the training does without it

    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError:  # a disk without locks, where the file is there while one is held
        return True
    return False


@contextmanager
def replacing(folder: Path, *, resume: bool = False) -> Iterator[Path]:
    """An empty folder that takes the place of `folder` if the block ends well, else goes away.

    What was there before goes last, so that one of the two is there whatever fails. For one process
    at a time: the caller holds a lock.

    Args:
        folder: what is replaced.
        resume: where a process was killed or interrupted, its folder is given again as it left it.
    """
    partial, before = (folder.with_name(f".{folder.name}.{what}") for what in ("partial", "before"))
    if before.exists() and not folder.exists():  # killed between the two renames below
        before.rename(folder)
    for left in (before,) if resume else (partial, before):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    keep = False
    try:
        partial.mkdir(exist_ok=resume)
        yield partial
        if folder.exists():
            folder.rename(before)
        try:
            partial.rename(folder)
        except OSError:
            if before.exists():
                before.rename(folder)
            raise
        shutil.rmtree(before, ignore_errors=True)
    except KeyboardInterrupt:
        keep = resume
        raise
    finally:
        if not keep:
            shutil.rmtree(partial, ignore_errors=True)
