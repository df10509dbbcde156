import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import nn

from benchmarks import peers, step
from benchmarks.apart import Make, apart
from benchmarks.convolutions import ConvolutionsAlone, convolutions
from benchmarks.inputs import configure, ready_batch
from benchmarks.interleave import Contender, interleave
from benchmarks.loops import OurLoop, PlainLoop, repeat
from benchmarks.scale import QUICK
from benchmarks.stamp import Stamp
from brainseg.training.build import build_module

CASE = QUICK.cases[0]


def test_contenders_interleave_and_the_first_turn_does_not_count() -> None:
    calls: list[str] = []

    def contender(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    values = interleave({"a": lambda: contender("a"), "b": lambda: contender("b")}, 2)
    assert "".join(calls) == "ababab"
    assert values == {"a": [3, 5], "b": [4, 6]}


@pytest.mark.slow
def test_contenders_that_are_apart_have_a_process_each() -> None:
    with apart({name: partial(partial, os.getpid) for name in ("a", "b")}) as contenders:
        pids = {contender() for contender in contenders.values()}
        assert {contender() for contender in contenders.values()} == pids
    assert len(pids | {os.getpid()}) == 3
    assert multiprocessing.active_children() == []


def test_a_contender_that_ends_is_an_error_and_not_a_hang() -> None:
    with (
        apart({"a": partial(partial, os._exit, 3)}) as contenders,
        pytest.raises(RuntimeError, match="exit code 3"),
    ):
        contenders["a"]()


def test_both_loops_train_the_same_network_from_the_same_weights() -> None:
    config, batch = configure(CASE), ready_batch(CASE)
    module, other = build_module(config, patients=1), build_module(config)
    before = {name: value.clone() for name, value in module.net.state_dict().items()}
    for name, value in other.net.state_dict().items():
        assert torch.equal(before[name], value)
    ours = OurLoop(config, module, repeat(batch, 2), steps=2)
    theirs = PlainLoop(other.net, batch, steps=2, loss=other.loss)
    for loop, net in ((ours, module.net), (theirs, other.net)):
        assert loop() > 0
        assert not torch.equal(net.state_dict()["head.weight"], before["head.weight"])


def test_the_plain_loop_is_float32_and_contiguous() -> None:
    seen = []

    class Net(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = super().forward(x)
            seen.append((x.is_contiguous(), self.weight.is_contiguous(), out.dtype))
            return out

    net = Net(3, 1, 3, padding=1).to(memory_format=torch.channels_last)
    PlainLoop(net, ready_batch(CASE), steps=1)()
    assert seen == [(True, True, torch.float32)]


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("32-true", None)]
)
def test_the_convolutions_alone_do_the_work_of_the_networks(
    precision: str, dtype: torch.dtype | None
) -> None:
    net, image = build_module(configure(CASE)).net, ready_batch(CASE)["image"]
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    alone = ConvolutionsAlone(net, image, precision=precision, steps=1)
    assert sorted(c.weight.shape for c in alone.all) == sorted(m.weight.shape for m in layers)
    assert {c.x.dtype for c in alone.all} == {dtype or torch.float32}
    assert [c.first for c in alone.all] == [True] + [False] * (len(layers) - 1)
    assert alone() > 0


def test_a_convolution_alone_has_the_outputs_of_its_layer() -> None:
    for layer in (nn.Conv2d(3, 5, 3, padding=1), nn.ConvTranspose2d(3, 5, 2, stride=2)):
        nn.init.zeros_(layer.bias)
        (found,) = convolutions(layer, torch.zeros(2, 3, 8, 8), torch.float32)
        out = torch.ops.aten.convolution(found.x, found.weight, None, *found.settings)
        with torch.no_grad():
            layer.weight.copy_(found.weight)
            torch.testing.assert_close(out, layer(found.x))
        assert found.grad.shape == out.shape


def test_a_peer_that_is_not_installed_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    monkeypatch.setattr(peers, "PEERS", {"peer": peers.PEERS[list(peers.PEERS)[-1]]})
    (row,) = peers.rows(QUICK)
    assert row.skipped == "segmentation_models_pytorch is not installed"


@pytest.fixture
def _made_up_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def apart(makers: Mapping[str, Make]) -> Iterator[dict[str, Contender]]:
        yield {name: lambda: 1.0 for name in makers}

    monkeypatch.setattr(step, "apart", apart)


@pytest.mark.usefixtures("_made_up_speeds")
def test_without_a_compiler_only_the_compiled_row_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = list(step.rows(QUICK))
    (skipped,) = [row for row in rows if row.skipped]
    assert "compiled" in skipped.what
    assert skipped.skipped == "no C++ compiler (no-such-compiler)"
    assert len(rows) == 3


@pytest.mark.usefixtures("_made_up_speeds")
def test_beside_a_gpu_stand_tf32_and_cuda_graphs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        step,
        "configure",
        lambda case: {"trainer": {"accelerator": "gpu", "precision": "bf16-mixed"}},
    )
    rows = list(step.rows(QUICK))
    named = {step.PLAIN, step.PLAIN_TF32, step.ALONE, *step.PUBLISHED}
    assert {row.against for row in rows} == named
    assert len({row.what for row in rows}) == 3
    near = {str(row.target) for row in rows if row.against == step.ALONE}
    assert near == {"≥ 0.833333"}  # 1 / 1.2


def test_a_stamp_is_written_once_a_run(tmp_path: Path) -> None:
    config, path = configure(CASE), tmp_path / "stamps.txt"
    module = build_module(config, patients=1)
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=3,
        logger=False,
        callbacks=[Stamp(str(path))],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(module, repeat(ready_batch(CASE), 4), repeat(ready_batch(CASE), 1))
    assert len(path.read_text().split()) == 1
