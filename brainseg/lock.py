"""One process at a time."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


@contextmanager
def only_one(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock file; a second process says so and waits. A killed process drops it.

    Args:
        lock: the file; it stays.
        what: what the other process is said to be doing, such as `/runs/a is being trained`.
    """
    file = FileLock(lock)
    try:
        held = file.acquire(timeout=0)
    except Timeout:
        log.info("%s by another process; waiting for it", what)
        held = file.acquire()
    with held:
        yield
