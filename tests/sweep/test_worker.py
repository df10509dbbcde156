import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.fabric.utilities.exceptions import MisconfigurationException
from PIL import Image
from torch._inductor.exc import InductorError, InvalidCxxCompiler
from torch.utils.data import DataLoader, Dataset

from brainseg.errors import reason
from brainseg.runs.folder import RunFolder
from brainseg.sweep.launch import _prepare_data
from brainseg.sweep.outcome import keep_failure, refuse
from brainseg.sweep.worker import train_cell
from tests.conftest import composed, tiny_cell


def test_memory_that_runs_out_names_what_to_lower() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    on_cpu = reason(error.value)
    on_gpu = reason(torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB.\nMore text."))
    for line in (on_cpu, on_gpu, reason(MemoryError())):
        assert line.startswith("out of memory (")
        assert "lower batch_size" in line
        assert "\n" not in line


def test_a_cell_that_runs_out_of_memory_is_told_what_to_try(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cell = tiny_cell(tmp_path / "run", "batch_size=16", "data.size=256")
    refuse(torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB."), cell)
    told = "it had batch_size=16 and data.size=256: try batch_size=8, or data.size=192"
    assert told in caplog.text
    assert told in (RunFolder(cell.folder).failure or "")


@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.ENOSPC, "free space"), (errno.EROFS, "may be written")]
)
def test_a_disk_that_takes_nothing_is_named_with_the_remedy(code: int, remedy: str) -> None:
    line = reason(OSError(code, os.strerror(code), "/runs/history.csv"))
    assert line.startswith(f"/runs/history.csv: {os.strerror(code)}; ")
    assert remedy in line


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("unable to allocate shared memory(shm) for file"), "--shm-size"),
        (RuntimeError("DataLoader worker (pid 3) is killed by signal: Bus error. It"), "workers=0"),
        (OSError(errno.EROFS, "Read-only file system"), "--shm-size"),
        (RuntimeError("[enforce fail at x.cc] . PytorchStreamWriter failed writing"), "free space"),
        (TypeError("Scans() got an unexpected keyword argument 'a'"), "correct its name"),
        (MisconfigurationException("0.5 of 1 batch < 1.\nMore"), "0.5 of 1 batch < 1.; correct"),
        (InductorError(InvalidCxxCompiler(), None), "or set compile=false"),
    ],
)
def test_a_limit_of_the_system_is_named_with_its_remedy(error: Exception, words: str) -> None:
    assert words in reason(error)
    assert not reason(error).startswith(type(error).__name__)


def test_a_worker_that_is_terminated_with_its_group_is_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. ")

    monkeypatch.setattr("brainseg.sweep.worker._train", killed)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    config = composed(tmp_path / "cell")
    HydraConfig.instance().set_config(config)
    with pytest.raises(SystemExit) as stop:
        train_cell(config)
    assert stop.value.code == 143
    assert RunFolder(tmp_path / "cell").failure is None


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


def darken_a_slice(root: Path) -> None:
    path = min(root.glob("*/kaggle_3m/*/*_1.tif"))
    Image.fromarray(np.asarray(Image.open(path)) // 2).save(path)


def test_results_of_other_scans_are_never_passed_off_as_those_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scans = tmp_path / "scans"
    cell = tiny_cell(tmp_path / "sweep/cell", f"data.root={scans}", "epochs=1")
    config = composed(cell.folder, f"data.root={scans}", "epochs=1")
    HydraConfig.instance().set_config(config)
    first = train_cell(config)
    assert first is not None
    assert train_cell(config) == first  # the same scans
    darken_a_slice(scans)
    assert train_cell(config) is None
    assert "holds the results of other scans than those in data.root=" in caplog.text
    assert cell.finished
    caplog.clear()
    with pytest.raises(ValueError, match="holds the results of other scans"):
        _prepare_data([cell])
    shutil.rmtree(scans)
    scans.touch()
    assert train_cell(config) == first
    assert "is not compared with its scans: data.root=" in caplog.text
