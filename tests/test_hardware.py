import subprocess
import sys

import pytest

from brainseg import hardware
from brainseg.hardware import keep_freed_memory

FAULTS = """
import resource, torch
from brainseg.hardware import keep_freed_memory

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        [torch.ones(10_000_000) for _ in range(3)]  # 40 MB each, all freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for keep in (False, True):
    assert not keep or keep_freed_memory()
    faults(15)  # until the heap has its places for them
    print(faults(5))
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="the C library is not glibc")
def test_freed_memory_is_used_again_without_new_pages() -> None:
    words = [sys.executable, "-c", FAULTS]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert given_back > 100  # 5 x 29,297 pages of 4 KiB; fewer where pages are huge
    assert kept < given_back / 20


def test_where_there_is_no_such_heap_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()


def test_a_cell_on_the_cpu_asks_nothing_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("a CPU cell asked the GPU")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for name in ("get_device_name", "max_memory_reserved", "is_bf16_supported"):
        monkeypatch.setattr(f"torch.cuda.{name}", asked)
    assert hardware.resolve({"accelerator": "cpu", "precision": "auto"})["accelerator"] == "cpu"
    assert "CPU" in hardware.describe("cpu")["device"]
    assert hardware.peak_memory("cpu")["gpu"] == 0


def test_freed_memory_is_kept_for_a_cpu_alone() -> None:
    assert not keep_freed_memory("gpu")


@pytest.mark.parametrize("precision", ["16-mixed", "64-true", "16-true", "bf16-true"])
def test_a_precision_that_the_cpu_cannot_train_in_is_refused(precision: str) -> None:
    with pytest.raises(ValueError, match=f"trainer.precision={precision} must be auto"):
        hardware.resolve({"accelerator": "cpu", "precision": precision})


def test_workers_follow_the_cores_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert hardware.workers("auto", "gpu") == 3
    assert hardware.workers("auto", "cpu") == 0
    assert hardware.workers(2, "cpu") == 2
