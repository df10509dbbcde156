import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from brainseg import hardware
from brainseg.config import instantiate
from brainseg.evaluate.evaluation import evaluate
from brainseg.evaluate.request import Request
from brainseg.metrics import dice
from brainseg.module import SegmentationModule
from brainseg.runs.cell import Cell
from brainseg.runs.checkpoint import load_checkpoint
from brainseg.runs.folder import BEST, LAST, RunFolder
from brainseg.training.build import build_trainer, load_module
from brainseg.training.fit import fit
from tests.conftest import same_weights, tiny_cell, tiny_config, without_times

SCORES = {"dice", "iou", "precision", "recall", "accuracy", "bce", "loss"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    cell = tiny_cell(tmp_path_factory.mktemp("fit") / "run", "epochs=3", "model.net.dropout=0.3")
    fit(cell, title="test")
    return cell


def test_a_run_folder_holds_what_the_next_commands_read(finished: Cell) -> None:
    names = {str(p.relative_to(finished.folder)) for p in finished.folder.rglob("*") if p.is_file()}
    assert names >= {
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "history.csv",
        "metrics.json",
        "patients.csv",
        "predictions.npz",
        "split.json",
    }
    assert not [name for name in names if "part" in name]


def test_metrics_hold_every_score_of_best_and_last_on_every_split(finished: Cell) -> None:
    metrics = RunFolder(finished.folder).required_metrics
    assert set(metrics["scores"]) == {"best", "last"}
    for scores in metrics["scores"].values():
        assert set(scores) == {"train", "val", "test"}
        for each in scores.values():
            assert set(each) == SCORES
    for key in ("split", "versions", "git", "data", "parameters", "seconds", "peak_memory_mb"):
        assert metrics[key] is not None


def test_no_patient_is_in_two_splits(finished: Cell) -> None:
    members = RunFolder(finished.folder).required_metrics["split"]["members"]
    names = [name for part in ("train", "val", "test") for name in members[part]]
    assert len(names) == len(set(names)) == 8


def test_history_has_a_row_per_epoch(finished: Cell) -> None:
    history = pd.read_csv(finished.folder / "history.csv")
    assert list(history["epoch"]) == [1, 2, 3]
    assert {"lr", "seconds", "train/loss", "val/dice"} <= set(history.columns)
    assert history["val/dice"].max() == pytest.approx(
        RunFolder(finished.folder).required_metrics["scores"]["best"]["val"]["dice"], abs=1e-6
    )


def test_patient_scores_average_to_the_headline(finished: Cell) -> None:
    table = pd.read_csv(finished.folder / "patients.csv")
    for (which, split), rows in table.groupby(["checkpoint", "split"]):
        headline = RunFolder(finished.folder).required_metrics["scores"][which][split]["dice"]
        by_hand = (2 * rows["tp"] / (rows["predicted"] + rows["target"])).mean()
        assert by_hand == pytest.approx(headline, abs=1e-6)


def test_saved_predictions_give_the_saved_scores(finished: Cell) -> None:
    saved = np.load(finished.folder / "predictions.npz")
    height, width = saved["shape"]
    masks = np.unpackbits(saved["masks"][:, 0], axis=1, count=height * width)
    assert saved["region"].tolist() == ["tumour"]
    predicted = pd.Series(masks.sum(axis=1)).groupby(saved["patient"]).sum()
    table = pd.read_csv(finished.folder / "patients.csv").query("checkpoint == 'best'")
    expected = table[table["split"] == "test"].set_index("patient")["predicted"]
    pd.testing.assert_series_equal(predicted, expected, check_names=False, check_dtype=False)


def test_train_scores_are_those_of_unaugmented_slices(finished: Cell) -> None:
    module = load_module(finished.folder / BEST)
    scans = instantiate(finished.config["data"])
    scans.prepare()
    table = pd.read_csv(finished.folder / "patients.csv").query("checkpoint == 'best'")
    row = table[table["split"] == "train"].iloc[0]
    rows = np.flatnonzero(scans.index["patient"] == row["patient"])
    images = torch.stack([torch.from_numpy(scans.image(k)) for k in rows])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled="bf16" in precision()):
        preds = module(images)[:, 0] > 0
    target = torch.from_numpy(scans.masks[rows]).bool()
    counts = torch.tensor([(preds & target).sum(), preds.sum(), target.sum(), preds.numel()])
    assert dice(counts).item() == pytest.approx(row["dice"], abs=0.02)


def precision() -> str:
    from brainseg.hardware import resolve

    return resolve({"accelerator": "cpu", "precision": "auto"})["precision"]


def test_the_same_cell_twice_ends_in_the_same_weights(finished: Cell, tmp_path: Path) -> None:
    again = tiny_cell(tmp_path / "again", "epochs=3", "model.net.dropout=0.3")
    fit(again, title="again")
    assert same_weights(finished, again)
    assert without_times(finished) == without_times(again)


def test_force_trains_anew_and_keeps_the_finished_folder_aside(tmp_path: Path) -> None:
    fit(tiny_cell(tmp_path / "run", "epochs=1"), title="old")
    other = ("epochs=1", "optimizer.lr=0.01")
    with pytest.raises(ValueError, match=r"optimizer.lr: 0.001 -> 0.01.*force=true"):
        fit(tiny_cell(tmp_path / "run", "epochs=2", *other[1:]), title="refused")
    forced = tiny_cell(tmp_path / "run", *other, "force=true")
    assert not forced.finished
    fit(forced, title="forced")
    assert forced.finished
    (aside,) = tmp_path.glob("run.*.old")
    assert load_checkpoint(aside / BEST)["config"]["optimizer"]["lr"] == pytest.approx(1e-3)
    assert load_checkpoint(forced.folder / BEST)["config"]["optimizer"]["lr"] == 0.01


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(finished: Cell, tmp_path: Path) -> None:
    again = tiny_cell(tmp_path / "again", "epochs=3", "model.net.dropout=0.3", "workers=2")
    fit(again, title="again")
    assert same_weights(finished, again)


def test_seeds_differ_in_everything_but_the_split(finished: Cell, tmp_path: Path) -> None:
    other = tiny_cell(tmp_path / "other", "epochs=3", "model.net.dropout=0.3", "seed=1")
    fit(other, title="other")
    assert not same_weights(finished, other)
    one, two = (RunFolder(cell.folder).required_metrics for cell in (other, finished))
    assert one["split"] == two["split"]


def test_a_finished_cell_is_not_trained_again(finished: Cell) -> None:
    before = (finished.folder / "metrics.json").stat().st_mtime_ns
    assert fit(finished, title="again") == pytest.approx(
        RunFolder(finished.folder).required_metrics["scores"]["best"]["val"]["dice"]
    )
    assert (finished.folder / "metrics.json").stat().st_mtime_ns == before


def test_a_lone_checkpoint_is_enough_to_predict(finished: Cell, tmp_path: Path) -> None:
    lone = tmp_path / "best.ckpt"
    lone.write_bytes((finished.folder / "checkpoints" / "best.ckpt").read_bytes())
    module = load_module(lone)
    assert module(torch.zeros(1, 3, 32, 32)).shape == (1, 1, 32, 32)
    assert not module.training


def test_the_best_checkpoint_holds_weights_alone(finished: Cell) -> None:
    best, last = (load_checkpoint(finished.folder / which) for which in (BEST, LAST))
    assert "optimizer_states" not in best
    assert "optimizer_states" in last
    assert best["config"] == finished.config


@pytest.mark.parametrize("node", ["model", "optimizer", "scheduler"])
def test_a_checkpoint_that_names_foreign_code_is_refused(
    finished: Cell, tmp_path: Path, node: str
) -> None:
    checkpoint = torch.load(finished.folder / "checkpoints/best.ckpt", weights_only=True)
    checkpoint["config"][node]["_target_"] = "os.system"
    torch.save(checkpoint, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match=r"os\.system is not allowed"):
        load_module(tmp_path / "evil.ckpt")


def test_a_missing_or_foreign_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        load_module(tmp_path / "none.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match="made by brainseg"):
        load_module(tmp_path / "foreign.ckpt")


@pytest.mark.parametrize("callbacks", ["default", "plain"])
def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(
    callbacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brainseg import losses

    good = losses.bce_loss

    def loss(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return good(logits, mask) * (float("inf") if len(calls) > 20 else 1.0)

    calls: list[int] = []
    monkeypatch.setattr("brainseg.losses.bce_loss", loss)
    cell = tiny_cell(tmp_path / "run", "loss=bce", "epochs=9", f"callbacks={callbacks}")
    with pytest.raises(FloatingPointError, match=r"epoch \d, step \d"):
        fit(cell, title="run")
    kept = load_checkpoint(cell.folder / LAST)
    assert all(value.isfinite().all() for value in kept["state_dict"].values())
    assert len(pd.read_csv(cell.folder / "history.csv")) == kept["epoch"] + 1


def test_averaged_weights_are_what_is_scored_and_kept(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "run", "epochs=1", "callbacks.average.decay=0.5")
    fit(cell, title="run")
    best, last = (load_checkpoint(cell.folder / which) for which in (BEST, LAST))
    for name, averaged in best["state_dict"].items():
        assert torch.equal(averaged, last["state_dict"][name])
    head = "net.head.weight"
    assert not torch.equal(best["state_dict"][head], last["current_model_state"][head])
    logged = pd.read_csv(cell.folder / "history.csv")["val/dice"].max()
    scored = RunFolder(cell.folder).required_metrics["scores"]["best"]["val"]["dice"]
    assert logged == pytest.approx(scored, abs=1e-6)


def test_tensorboard_has_curves_panels_and_hyperparameters(finished: Cell) -> None:
    events = EventAccumulator(str(finished.folder / "tensorboard")).Reload()
    tags = events.Tags()
    assert {"train/loss", "val/dice", "lr-Adam"} <= set(tags["scalars"])
    assert {"train/panel", "val/panel"} <= set(tags["images"])
    final = events.Scalars("hp/test_dice")[-1].value
    scores = RunFolder(finished.folder).required_metrics["scores"]
    assert final == pytest.approx(scores["best"]["test"]["dice"])
    assert any("hparams" in name for name in events.summary_metadata)


def test_every_number_is_the_same_wherever_it_is_read(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "run", "batch_size=3", "epochs=3")  # 3 divides no split
    fit(cell, title="test")
    metrics = RunFolder(cell.folder).required_metrics
    final = metrics["scores"]["best"]["val"]
    epoch = metrics["best_epoch"]
    rows = pd.read_csv(cell.folder / "history.csv").set_index("epoch")
    events = EventAccumulator(str(cell.folder / "tensorboard")).Reload()
    for name in ("loss", "dice", "iou", "precision", "recall", "accuracy"):
        logged = [event.value for event in events.Scalars(f"val/{name}")]
        assert rows.loc[epoch, f"val/{name}"] == pytest.approx(final[name], rel=1e-6), name
        assert logged == pytest.approx(rows[f"val/{name}"].tolist(), rel=1e-6), name
    evaluate(Request(runs=(cell.folder,), split="val"))
    card = json.loads(next(cell.folder.glob("evaluate/**/card.json")).read_text())
    for name in ("dice", "iou", "precision", "recall"):
        assert card["regions"]["tumour"]["overlap"]["patient"][name]["value"] == pytest.approx(
            final[name], rel=1e-6
        ), name


def test_an_epochs_loss_counts_every_slice_once_in_a_smaller_last_batch_too() -> None:
    module = SegmentationModule(nn.Conv2d(1, 1, 1), lambda logits, mask: mask.mean(), patients=1)
    sizes = (4, 4, 1)
    for size, value in zip(sizes, (1.0, 1.0, 0.0), strict=True):
        mask, patient = torch.full((size, 1, 2, 2), value), torch.zeros(size, dtype=torch.int64)
        module.validation_step({"image": mask, "mask": mask, "patient": patient}, 0)
    assert module.val_loss.compute() == pytest.approx(8 / 9)


def test_a_validation_loss_that_is_not_finite_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = SegmentationModule.validation_step

    def broken(self: SegmentationModule, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        step(self, batch, batch_idx)
        self.val_loss.update(torch.tensor(float("nan")))

    monkeypatch.setattr(SegmentationModule, "validation_step", broken)
    with pytest.raises(FloatingPointError, match=r"^val/loss is nan in epoch 1; .*optimizer\.lr"):
        fit(tiny_cell(tmp_path / "run"), title="run")


def test_clipping_that_lightning_cannot_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("+trainer.gradient_clip_val=1.0", "trainer.precision=16-mixed")
    monkeypatch.setattr(hardware, "resolve", lambda _: {"precision": "16-mixed"})
    with pytest.raises(ValueError, match=r"gradient_clip_val=1\.0 .*optimizer\.fused=false"):
        build_trainer(config, tmp_path, [])


def test_a_launchers_variables_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    srun = tmp_path / "bin/srun"
    srun.parent.mkdir()
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}:{os.environ['PATH']}")
    for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"):
        monkeypatch.setenv(name, "1")
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setattr("lightning.pytorch.utilities.rank_zero_only.rank", 1)  # as at an import
    cell = tiny_cell(tmp_path / "run", "epochs=1")
    fit(cell, title="test")
    assert list((cell.folder / "tensorboard").glob("events*"))


def test_a_resume_on_other_hardware_or_by_other_code_is_said_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cell = tiny_cell(tmp_path / "run", "epochs=1", "scheduler=constant")
    fit(cell, title="first")
    longer = tiny_cell(tmp_path / "longer", "epochs=3", "scheduler=constant")
    monkeypatch.setattr("brainseg.training.fit.describe", lambda _: {"device": "another"})
    fit(longer, title="second", shorter=cell)
    first, second = RunFolder(longer.folder).required_metrics["sessions"]
    assert (first["from_epoch"], second["from_epoch"]) == (1, 2)
    assert second["hardware"] == {"device": "another"}
    assert "resumes with another hardware: " in caplog.text
    assert len(RunFolder(cell.folder).required_metrics["sessions"]) == 1


def test_a_resumed_run_keeps_the_threads_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    shorter = tiny_cell(tmp_path / "run", "epochs=1", "scheduler=constant")
    fit(shorter, title="first")
    assert "2 threads (OMP_NUM_THREADS=2)" in caplog.text
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    longer = tiny_cell(tmp_path / "longer", "epochs=2", "scheduler=constant")
    fit(longer, title="second", shorter=shorter)
    assert "2 threads (as it began; here 1: OMP_NUM_THREADS=1)" in caplog.text
    metrics = RunFolder(longer.folder).required_metrics
    assert metrics["hardware"]["torch_threads"] == 2
    assert len(metrics["sessions"]) == 1
    torch.set_num_threads(1)
