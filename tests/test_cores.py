import multiprocessing
import os
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
import torch

from brainseg import cores, hardware
from brainseg.cores import SharedCores

CONTEXT = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def groups(root: Path, line: str, **files: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"9:memory:/elsewhere\n{line}\n")
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2, V1 = "sys__fs__cgroup__", "sys__fs__cgroup__cpu__"


@pytest.mark.parametrize(
    ("line", "files", "quota"),
    [
        ("0::/", {f"{V2}cpu_dot_max": "150000 100000\n"}, 1.5),
        ("0::/", {f"{V2}cpu_dot_max": "max 100000\n"}, float("inf")),
        ("0::/", {}, float("inf")),
        ("0::/a/b", {f"{V2}a__cpu_dot_max": "200000 100000"}, 2),  # of a group above it
        ("0::/on/the/host", {f"{V2}cpu_dot_max": "300000 100000"}, 3),  # seen from a container
        (
            "4:cpu,cpuacct:/job",
            {
                f"{V1}job__cpu.cfs_quota_us": "250000",
                f"{V1}job__cpu.cfs_period_us": "100000",
            },
            2.5,
        ),
        (
            "4:cpu:/",
            {f"{V1}cpu.cfs_quota_us": "-1", f"{V1}cpu.cfs_period_us": "100000"},
            float("inf"),
        ),
    ],
)
def test_a_containers_quota_is_read(
    line: str, files: dict[str, str], quota: float, tmp_path: Path
) -> None:
    assert cores._quota(groups(tmp_path, line, **files)) == quota


def test_threads_are_those_that_the_container_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores.threads() == (4, "all cores of this process")
    monkeypatch.setattr(cores, "_quota", lambda: 2.5)
    assert cores.threads() == (2, "the container's share")
    monkeypatch.setattr(cores, "_quota", lambda: 0.5)
    assert cores.threads() == (1, "the container's share")


def test_a_share_is_not_exceeded_whatever_the_environment_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BRAINSEG_CORES", "2")
    assert cores.threads() == (2, "its share beside other cells")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert cores.threads() == (2, "its share beside other cells")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cores.threads() == (1, "OMP_NUM_THREADS=1")
    monkeypatch.delenv("BRAINSEG_CORES")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")  # as another machine had
    assert cores.threads() == (8, "OMP_NUM_THREADS=8")


@pytest.mark.parametrize("word", ["abc", "0", "-2", "²"])
def test_a_word_that_is_no_number_is_said_and_not_followed(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", word)
    number, why = cores.threads()
    assert number == 4
    assert f"OMP_NUM_THREADS={word} is no number of threads" in why


def test_a_run_keeps_the_threads_that_it_began_with() -> None:
    assert hardware.use_threads(1) == "1 thread (as it began; here 4: all cores of this process)"
    assert torch.get_num_threads() == 1
    assert hardware.use_threads() == "4 threads (all cores of this process)"
    assert torch.get_num_threads() == 4


def _hold(folder: Path, threads: int, has: Event, end: Event) -> None:
    os.sched_setaffinity = os.sched_getaffinity = lambda *_: {0, 1, 2, 3}  # type: ignore
    shared = SharedCores(threads, folder)
    shared.take()
    has.set()
    end.wait(30)
    shared.give()


def test_trainings_share_what_fits_and_wait_for_what_does_not(tmp_path: Path) -> None:
    has, end = CONTEXT.Event(), CONTEXT.Event()
    other = CONTEXT.Process(target=_hold, args=(tmp_path, 2, has, end))
    other.start()
    assert has.wait(30)
    beside = SharedCores(2, tmp_path)
    start = time.monotonic()
    beside.take()
    assert time.monotonic() - start < 0.5
    beside.give()
    all_of_them = SharedCores(4, tmp_path, patience=20)
    end.set()
    all_of_them.take()  # the other's have to come back for it
    assert len(all_of_them._held) == 4
    all_of_them.give()
    other.join()


def test_a_killed_training_leaves_its_cores(tmp_path: Path) -> None:
    has, end = CONTEXT.Event(), CONTEXT.Event()
    other = CONTEXT.Process(target=_hold, args=(tmp_path, 4, has, end))
    other.start()
    assert has.wait(30)
    other.kill()
    other.join()
    shared = SharedCores(4, tmp_path, patience=5)
    shared.take()
    assert len(shared._held) == 4
    shared.give()


def test_one_that_hangs_is_not_waited_for_without_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    hanging, shared = SharedCores(4, tmp_path), SharedCores(1, tmp_path, patience=0.1)
    hanging.take()
    shared.take()
    shared.take()
    assert caplog.text.count("takes no turns with other trainings") == 1
    assert not shared._held
    hanging.give()


def test_a_turn_is_kept_until_its_time_is_over(tmp_path: Path) -> None:
    first, second, had = SharedCores(4, tmp_path), SharedCores(4, tmp_path), threading.Event()

    def follow() -> None:
        second.take()
        had.set()
        second.give()

    first.take()
    waiting = threading.Thread(target=follow)
    waiting.start()
    first.take()
    assert not had.wait(0.5)
    time.sleep(0.6)
    first.take()  # stands in line behind the other
    assert had.is_set()
    assert first._held
    waiting.join()
    first.give()
