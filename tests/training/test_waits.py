"""What a card would be waited for, shown without one: tensors on `meta` have no values to ask."""

import pytest
import torch

from brainseg.config import compose
from brainseg.data.dataset import scaled
from brainseg.training.build import build_module
from tests.conftest import plain

CHOICES = [f"norm={name}" for name in ("none", "batch", "group", "layer", "layer2d", "instance")]
CHOICES += [f"loss={name}" for name in ("bce", "dice", "focal", "iou", "tversky")]
CHOICES += [f"model=unet_{name}" for name in ("resnet34", "mobilenet")]
CHOICES += ["model=attention_unet", "model=resunet"]


@pytest.mark.parametrize("choice", CHOICES)
def test_no_step_asks_for_a_value(choice: str) -> None:
    config = plain(compose([choice]))
    module = build_module(config, patients=2).to("meta")
    module.bad_step = torch.full((), -1, device="meta")  # as on_train_start has it
    B, C, K, size = 2, 3, 1, 32
    batch = scaled(
        {
            "image": torch.zeros(B, C, size, size, dtype=torch.uint8, device="meta"),
            "mean": torch.zeros(B, C, device="meta"),
            "deviation": torch.ones(B, C, device="meta"),
            "mask": torch.zeros(B, K, size, size, dtype=torch.uint8, device="meta"),
            "patient": torch.zeros(B, dtype=torch.int64, device="meta"),
            "row": torch.zeros(B, dtype=torch.int64, device="meta"),
        }
    )
    with torch.autocast("cpu", torch.bfloat16):
        module.training_step(batch, 0).backward()
        with torch.no_grad():
            module.validation_step(batch, 0)
    assert all(p.grad is not None for p in module.net.parameters())
