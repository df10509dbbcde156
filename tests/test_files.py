import errno
import fcntl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from brainseg.files import held, only_one


def test_a_lock_that_cannot_be_made_is_an_error_and_no_endless_wait() -> None:
    with pytest.raises(OSError, match="/proc"), only_one(Path("/proc/x.lock"), "it is written"):
        pass


def test_who_only_looks_makes_nobody_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    lock = tmp_path / "lock"
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.1, lambda: fcntl.flock(file, fcntl.LOCK_UN)).start()
        with only_one(lock, "it is trained"):
            assert held(lock)
        assert not held(lock)
    assert "waiting" not in caplog.text


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_on_a_disk_without_locks_the_file_says_it_and_so_does_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    lock = tmp_path / "lock"
    with only_one(lock, "it is trained"):
        assert held(lock)
        assert f"delete {lock} before the next try" in caplog.text
    assert not held(lock)
    start = time.monotonic()
    with only_one(lock, "it is trained"):
        assert time.monotonic() - start < 5
