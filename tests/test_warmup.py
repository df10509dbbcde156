from pathlib import Path

import pytest

from brainseg.cell import BEST, LAST
from brainseg.fit import fit
from brainseg.run import Run
from brainseg.warmup import measure
from tests.conftest import tiny_cell


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_sizes_are_those_of_the_files_that_training_writes(optimizer: str, tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "cell", f"optimizer={optimizer}", "model.net.width=32")
    cost = measure(cell.config)
    assert not cell.folder.exists()
    fit(cell, title="cell")
    assert cost.parameters == Run(cell.folder).metrics["parameters"]
    # a checkpoint holds a few kB beside its tensors, and headers of each
    assert cost.best < (cell.folder / BEST).stat().st_size < 1.2 * cost.best
    assert cost.last < (cell.folder / LAST).stat().st_size < 1.2 * cost.last
    assert (cell.folder / "predictions.npz").stat().st_size < cost.predictions + 4096


def test_times_count_all_batches_and_all_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # every look at the clock is a second later: a batch then takes one, whatever the machine
    ticks = iter(range(10**6))
    monkeypatch.setattr("brainseg.warmup._now", lambda: float(next(ticks)))
    cell = tiny_cell(tmp_path / "cell", "data.reader.patients=10", "batch_size=2")
    short = measure(cell.config).epoch
    limited = cell.config["trainer"] | {"limit_train_batches": 2, "limit_val_batches": 1}
    assert measure(cell.config | {"trainer": limited}).epoch < short


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("scheduler", ["constant", "onecycle"])
def test_nothing_is_written(
    workers: int, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cell = tiny_cell(tmp_path / "cell", f"workers={workers}", f"scheduler={scheduler}")
    cost = measure(cell.config)
    assert cost.epoch > 0
    assert cost.outside > 0
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "cell", "optimizer.lr=1e30")
    with pytest.raises(FloatingPointError, match="the loss was not finite"):
        measure(cell.config)
