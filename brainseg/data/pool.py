"""Work on every patient, in threads, a progress bar beside it."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

from brainseg.cores import cores
from brainseg.data.reader import Patient

WORKERS = 8  # each holds a patient in memory, and the interpreter's lock keeps more from helping

T = TypeVar("T")


def each(work: Callable[[Patient], T], patients: Sequence[Patient], what: str) -> Iterator[T]:
    """What `work` gives for each patient, in order; the bar says `what`."""
    with ThreadPoolExecutor(min(cores(), WORKERS)) as pool:
        results = _in_order(pool, work, patients)
        yield from tqdm(results, what, len(patients), unit="patient", delay=2, disable=None)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Patient], T], patients: Sequence[Patient]
) -> Iterator[T]:
    """`map`, with no more than a patient a worker under way: all at once would fill the memory."""
    waiting: deque[Future[T]] = deque()
    for patient in patients:
        waiting.append(pool.submit(work, patient))
        if len(waiting) > min(cores(), WORKERS):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
