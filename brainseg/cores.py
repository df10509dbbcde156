"""How many cores a training uses, and when: trainings on one machine take turns on them."""

import fcntl
import logging
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_SHARE = "BRAINSEG_CORES"  # in the environment, for the loader's processes too
_TURN = 1.0  # seconds; a step that takes longer ends its turn
_PATIENCE = 60.0  # seconds, then the cores are taken for those of a process that hangs
_POLL = 0.01

log = logging.getLogger(__name__)


def cores() -> int:
    """Cores that this process may use."""
    return available()[0]


def available() -> tuple[int, str]:
    """Cores that this process may use, and what allows no more.

    The least of its affinity, which SLURM and `taskset` set; its container's quota (cgroup v1 and
    v2), rounded down; and the share that `share` gave it.
    """
    own, quota, given = len(_affinity()), _quota(), os.environ.get(_SHARE)
    found = [(own, "all cores of this process")]
    if quota < own:
        found.append((max(1, int(quota)), "the container's share"))
    if given is not None:
        found.append((int(given), "its share beside other cells"))
    return min(found, key=lambda each: each[0])


def threads() -> tuple[int, str]:
    """Threads that a new training uses, and why: one a core, or OMP_NUM_THREADS.

    OMP_NUM_THREADS may be above the cores, to repeat what another machine computed, but not above
    the share of a cell that has others beside it.
    """
    number, why = available()
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    asked = int(first) if first.isdecimal() else 0
    if first and not asked:
        return number, f"{why}; OMP_NUM_THREADS={first} is no number of threads"
    if asked and (asked < number or _SHARE not in os.environ):
        return asked, f"OMP_NUM_THREADS={asked}"
    return number, why


def share(number: int) -> None:
    """Leave the other cores to other cells, here and in the processes started from here."""
    os.environ[_SHARE] = str(number)


class SharedCores:
    """The cores of this machine, held by one training at a time.

    The threads of a step wait for each other some thousand times. Beside another training each of
    these waits lasts until the other's time slice is over, and two trainings take four times as
    long as one (docs/performance.md). So trainings of one user that share cores take turns of a
    second, or of one step: each holds as many cores as it has threads. Trainings on other cores,
    and those whose threads fit beside each other, do not wait. What is computed does not change.

    Args:
        threads: of this training.
        folder: where the locks lie; by default in the system's folder for temporary files. A killed
            process drops its own.
        patience: seconds after which it goes on without turns.
    """

    def __init__(
        self, threads: int, folder: Path | None = None, patience: float = _PATIENCE
    ) -> None:
        own = _affinity()
        self._cores, self._number = own, min(threads, len(own))
        self._folder = folder or Path(tempfile.gettempdir()) / f"brainseg-cores-{os.getuid()}"
        self._queue = f"queue-{sum(1 << core for core in own):x}"
        self._patience = patience
        self._held: list[int] = []
        self._since = 0.0
        self._waited = False

    def take(self) -> None:
        """Hold the cores for a step; a turn that is over ends first. It says once that it waited.

        They are held from step to step, what lies between them too: it would slow who comes next.
        """
        if not self._number or (self._held and time.monotonic() - self._since < _TURN):
            return
        self.give()
        start = time.monotonic()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._acquire(start + self._patience)
        except OSError as error:
            self._number = 0
            log.info("takes no turns with other trainings on these cores: %s", error)
            return
        self._since = time.monotonic()
        if self._since - start > _POLL * 5 and not self._waited:
            self._waited = True
            log.info("takes turns with another training on these cores")

    def give(self) -> None:
        """Let others have the cores."""
        _release(self._held)

    def _acquire(self, end: float) -> None:
        """Wait in line, so that who gives the cores does not take them again at once."""
        place: list[int] = []
        try:
            _until(lambda: self._lock([self._queue], 1, place), end)
            names = [f"core-{core}" for core in self._cores]
            _until(lambda: self._lock(names, self._number, self._held), end)
        finally:
            _release(place)

    def _lock(self, names: list[str], number: int, held: list[int]) -> bool:
        """Lock so many of the files, or none."""
        for name in names:
            file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.append(file)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held.pop())
            if len(held) == number:
                return True
        _release(held)
        return False


def _until(taken: Callable[[], bool], end: float) -> None:
    while not taken():
        if time.monotonic() > end:
            raise TimeoutError("another holds them and does not train, such as one that is stopped")
        time.sleep(_POLL)


def _release(held: list[int]) -> None:
    while held:
        file = held.pop()
        fcntl.flock(file, fcntl.LOCK_UN)  # a loader's process may have it open too
        os.close(file)


def _affinity() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))  # macOS


def _quota(root: Path = Path("/")) -> float:
    """Cores' worth of time that this process's control groups allow; infinite without a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return math.inf
    least = math.inf
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("" if number == "0" else "cpu")
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            least = min(least, _limit(folder))
            if folder == top:
                break
    return least


def _limit(folder: Path) -> float:
    for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((folder / name).read_text() for name in files).split()
        except (OSError, ValueError):
            continue
        return int(quota) / int(period) if quota not in ("max", "-1") else math.inf
    return math.inf
