import subprocess
import sys

import pytest

from brainseg.heap import keep_freed_memory

FAULTS = """
import resource, torch
from brainseg.heap import keep_freed_memory

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
