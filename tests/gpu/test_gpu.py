"""What only a card can show; `make test-gpu`. Skipped where torch finds none."""

import json
from pathlib import Path

import pytest
import torch

from brainseg import hardware
from brainseg.config import compose, instantiate
from brainseg.data.dataset import scaled
from brainseg.evaluate.trained import open_run
from brainseg.runs.cell import Cell
from brainseg.training.build import build
from brainseg.training.fit import fit
from brainseg.training.score import score
from tests.conftest import same_weights, tiny_cell

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA GPU here"),
]
GPU = ("trainer=gpu", "trainer.precision=bf16-mixed", "workers=2")


def gpu_cell(folder: Path, *words: str) -> Cell:
    cell = tiny_cell(folder, *GPU, *words)
    cell.config["trainer"] |= hardware.resolve(cell.config["trainer"])
    return cell


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "32-true"])
def test_a_cell_trains_and_says_on_which_card(precision: str, tmp_path: Path) -> None:
    cell = gpu_cell(tmp_path / "run", f"trainer.precision={precision}")
    fit(cell, title="gpu")
    metrics = json.loads((cell.folder / "metrics.json").read_text())
    assert metrics["hardware"]["device"] == torch.cuda.get_device_name()
    assert metrics["peak_memory_mb"]["gpu"] > 0


def test_a_compiled_cell_trains(tmp_path: Path) -> None:
    fit(gpu_cell(tmp_path / "run", "compile=true"), title="gpu")


def test_the_same_cell_twice_is_the_same_where_it_is_deterministic(tmp_path: Path) -> None:
    cells = [gpu_cell(tmp_path / name, "trainer.deterministic=true") for name in "ab"]
    for cell in cells:
        fit(cell, title="gpu")
    assert same_weights(*cells)


def test_evaluate_scores_what_training_scored(tmp_path: Path) -> None:
    cell = gpu_cell(tmp_path / "run")
    fit(cell, title="gpu")
    trained = open_run(cell.folder)
    data, _ = build(cell.config)
    found = score(
        trained.module,
        data,
        "test",
        forward=hardware.autocast(trained.module.device, trained.precision),
    )
    told = json.loads((cell.folder / "metrics.json").read_text())["scores"]["best"]["test"]
    assert found.scores["dice"] == pytest.approx(told["dice"], abs=1e-6)


@pytest.mark.parametrize("norm", ["batch", "group", "layer", "layer2d", "instance"])
def test_no_step_waits_for_the_card(norm: str, tmp_path: Path) -> None:
    cell = gpu_cell(tmp_path / "run", f"norm={norm}")
    data, module = build(cell.config)
    module = module.cuda()
    assert module.optimizer is not None
    optimizer = module.optimizer(module.net.parameters())
    loader = data.train_dataloader()
    batches = [
        scaled({key: value.cuda() for key, value in batch.items()})
        for batch, _ in zip(loader, range(4), strict=False)
    ]

    def step(number: int) -> None:
        with hardware.autocast(module.device, "bf16-mixed"):
            loss = module.training_step(batches[number], number)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad(), hardware.autocast(module.device, "bf16-mixed"):
            module.validation_step(batches[number], number)

    step(0)  # states are made
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(1, len(batches)):
            step(number)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ["batch", "group", "layer", "layer2d", "instance"])
def test_every_norm_hands_on_the_type_that_it_is_given(name: str) -> None:
    norm = instantiate(compose([f"norm={name}"]).norm)(16).cuda()
    x = torch.randn(2, 16, 8, 8, device="cuda", dtype=torch.bfloat16)
    with torch.autocast("cuda", torch.bfloat16):
        assert norm(x).dtype == torch.bfloat16
