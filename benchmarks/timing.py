"""Seconds, of a GPU's work too."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass
class Stopwatch:
    """Seconds of a `with timed()` block, once it is over."""

    seconds: float = float("nan")


@contextmanager
def timed() -> Iterator[Stopwatch]:
    """Time a block, work that it left to a GPU included."""
    watch, start = Stopwatch(), now()
    yield watch
    watch.seconds = now() - start


def now() -> float:
    """Seconds of a steady clock, once the GPU (if any) has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
