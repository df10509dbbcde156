import errno
import os
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from brainseg.errors import reason
from brainseg.sweep.worker import keep_failure, refuse
from tests.conftest import tiny_cell


def test_memory_that_runs_out_names_what_to_lower() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    on_cpu = reason(error.value)
    on_gpu = reason(torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB.\nMore text."))
    for line in (on_cpu, on_gpu, reason(MemoryError())):
        assert line.startswith("out of memory (")
        assert "lower batch_size" in line
        assert "\n" not in line


@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.ENOSPC, "free space"), (errno.EROFS, "may be written")]
)
def test_a_disk_that_takes_nothing_is_named_with_the_remedy(code: int, remedy: str) -> None:
    line = reason(OSError(code, os.strerror(code), "/runs/history.csv"))
    assert line.startswith(f"/runs/history.csv: {os.strerror(code)}; ")
    assert remedy in line


class Broken(Dataset[int]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise OSError("the cache is gone; run again")


def test_an_error_in_a_worker_loses_its_traceback() -> None:
    with pytest.raises(OSError, match="the cache is gone") as error:
        list(DataLoader(Broken(), num_workers=1))
    assert "\n" in str(error.value)
    assert reason(error.value) == "the cache is gone; run again"


def test_an_unexpected_error_keeps_its_first_line_and_its_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cell = tiny_cell(tmp_path / "cell")
    refuse(KeyError("width"), cell)
    assert caplog.messages[0].startswith("KeyError: 'width' (traceback in ")
    assert cell.found().failure == "KeyError: 'width'"


def test_a_reason_that_cannot_be_kept_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keep_failure(tmp_path / "file", "no memory")
