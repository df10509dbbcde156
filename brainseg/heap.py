"""The C library's heap: freed memory is kept for the next training step."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Keep freed memory for the next allocation, instead of giving it back to the system.

    A training step on a CPU frees its activations, and glibc hands large ones back at once: the
    next step gets them as new pages, which the system must clear and map one by one. What is
    computed does not change. False where the C library is not glibc, which then does as it likes.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # no block as a mapping of its own, and the heap is never trimmed
    return bool(mallopt(MMAP_MAX, 0) == 1 and mallopt(TRIM_THRESHOLD, -1) == 1)
