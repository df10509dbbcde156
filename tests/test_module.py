from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn
from torch.utils.data import DataLoader

from brainseg import schedules
from brainseg.losses import bce_loss, dice_loss
from brainseg.metrics import PatientScores
from brainseg.module import SegmentationModule


def module(**kwargs: Any) -> SegmentationModule:
    return SegmentationModule(
        kwargs.pop("net", nn.Conv2d(3, 1, 1)),
        kwargs.pop("loss", bce_loss),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        scheduler=kwargs.pop("scheduler", schedules.constant),
        patients=2,
        **kwargs,
    )


def batches(count: int = 2, size: int = 8) -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    data = [
        {
            "image": torch.rand(4, 3, size, size, generator=generator),
            "mask": (torch.rand(4, 1, size, size, generator=generator) > 0.7).float(),
            "patient": torch.tensor([0, 0, 1, 1]),
        }
        for _ in range(count)
    ]
    return DataLoader(data, batch_size=None)


@pytest.fixture
def trainer(tmp_path: Path) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        plugins=[LightningEnvironment()],
        max_epochs=1,
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def test_val_dice_is_the_mean_over_patients_of_their_volumes(trainer: L.Trainer) -> None:
    model, data = module(), batches()
    trainer.fit(model, data, data)
    by_hand = []
    for patient in (0, 1):
        rows = slice(2 * patient, 2 * patient + 2)
        with torch.no_grad():
            preds = torch.cat([model.net(b["image"][rows]) > 0 for b in data])
        target = torch.cat([b["mask"][rows] > 0 for b in data])
        by_hand.append(2 * (preds & target).sum() / (preds.sum() + target.sum()))
    assert trainer.callback_metrics["val/dice"].item() == pytest.approx(
        torch.stack(by_hand).mean().item()
    )


def test_every_score_is_logged_for_train_and_val(trainer: L.Trainer) -> None:
    trainer.fit(module(), batches(), batches())
    names = {"loss", "dice", "iou", "precision", "recall", "accuracy"}
    assert set(trainer.callback_metrics) == {f"{s}/{n}" for s in ("train", "val") for n in names}


def test_scores_start_anew_each_epoch(trainer: L.Trainer) -> None:
    model = module()
    trainer.fit(model, batches(), batches())
    assert isinstance(model.val_scores, PatientScores)
    assert model.val_scores.counts.sum() == 0
    assert model.train_scores.counts.sum() == 0


def test_a_loss_that_is_not_finite_stops_before_anything_is_saved(trainer: L.Trainer) -> None:
    def loss(logits: Tensor, mask: Tensor) -> Tensor:
        value = bce_loss(logits, mask)
        calls.append(1)
        return value * float("nan") if len(calls) == 2 else value

    calls: list[int] = []
    with pytest.raises(FloatingPointError, match="epoch 1, step 2"):
        trainer.fit(module(loss=loss), batches(3), batches())
    assert "val/dice" not in trainer.callback_metrics


def test_the_network_runs_in_channels_last(trainer: L.Trainer) -> None:
    seen = []

    class Net(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.is_contiguous(memory_format=torch.channels_last))
            return super().forward(x)

    trainer.fit(module(net=Net(3, 1, 1)), batches(), batches())
    assert seen
    assert all(seen)


def test_logits_leave_the_network_so_that_losses_can_be_swapped() -> None:
    logits, mask = torch.tensor([[[[20.0, -20.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    assert bce_loss(logits, mask) < 1e-6
    assert dice_loss(logits, mask) < 1e-6


def test_a_plateau_schedule_is_stepped_once_an_epoch_on_val_dice(tmp_path: Path) -> None:
    scheduler = partial(schedules.plateau, factor=0.1, patience=1)

    frozen = module(scheduler=scheduler, net=nn.Conv2d(3, 1, 1).requires_grad_(False))
    frozen.loss = lambda logits, mask: (logits * 0).sum().requires_grad_()
    trainer = L.Trainer(
        accelerator="cpu",
        plugins=[LightningEnvironment()],
        max_epochs=4,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(frozen, batches(), batches())
    # epoch 1 is the best; 2 is bad once, 3 is bad twice: reduced; 4 is bad once
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01)


def test_float16_whose_every_step_is_skipped_is_no_training() -> None:
    one = module()
    one.trainer = SimpleNamespace(  # type: ignore[assignment]
        precision_plugin=SimpleNamespace(scaler=SimpleNamespace(get_scale=lambda: 0.5)),
        current_epoch=3,
    )
    with pytest.raises(FloatingPointError, match=r"step of epoch 4.*trainer\.precision=32-true"):
        one.on_validation_epoch_start()
