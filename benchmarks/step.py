"""A training step: the plain loop, ours, ours compiled, and its convolutions alone."""

import os
import shutil
from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.apart import Make, apart
from benchmarks.convolutions import ConvolutionsAlone
from benchmarks.inputs import configure, device, has_fast_bf16, ready_batch
from benchmarks.interleave import interleave
from benchmarks.loops import OurLoop, PlainLoop, repeat
from benchmarks.row import Row, at_least
from benchmarks.scale import Case, Scale
from brainseg.training.build import build_module

PLAIN, PLAIN_TF32 = "plain loop, float32", "plain loop, TF32"
EAGER, COMPILED, GRAPHS = "ours", "ours, compiled", "ours, compiled, CUDA graphs"
ALONE = "its convolutions alone"
UNIT = "slices/s"
PUBLISHED = {  # Mpx/s of training, data loading included; other networks, so only for orientation
    "nnU-Net 2D, NVIDIA DeepLearningExamples, one A100 80G, batch 128 (published)": 28.5,
    "nnU-Net v2 2D, its documentation/benchmarking.md, one A100 (published)": 20.0,
}


def rows(scale: Scale) -> Iterator[Row]:
    """Each network's rows."""
    for case in scale.cases:
        # compiling takes half a minute: once, for the network with the most beside convolutions
        yield from _rows(case, compiled=case is scale.cases[-1])


def _rows(case: Case, *, compiled: bool) -> Iterator[Row]:
    gpu, missing = torch.cuda.is_available(), _no_compiler()
    with apart(_makers(case, compiled=compiled and not missing)) as contenders:
        values = interleave(contenders, case.rounds, case.seconds)
    plain, alone = values[PLAIN], values[ALONE]
    goal = at_least(case.goal) if has_fast_bf16(configure(case)) else None
    near = at_least(1 / 1.2) if gpu else None  # within 20 % of the convolutions' time
    for name in (EAGER, COMPILED, GRAPHS):
        what = f"step, {case}: {name}"
        if name in values:
            yield Row(what, PLAIN, UNIT, values[name], plain, goal if name == EAGER else None)
            if gpu:
                yield Row(what, PLAIN_TF32, UNIT, values[name], values[PLAIN_TF32])
            yield Row(what, ALONE, UNIT, values[name], alone, near)
        elif name == COMPILED and compiled:
            yield Row(what, PLAIN, skipped=missing)
    if gpu:
        speed = [value * case.size**2 / 1e6 for value in values[EAGER]]
        for peer, published in PUBLISHED.items():
            yield Row(f"step, {case}: ours", peer, "Mpx/s", speed, [published])


def _makers(case: Case, *, compiled: bool) -> dict[str, Make]:
    gpu = torch.cuda.is_available()
    makers: dict[str, Make] = {PLAIN: partial(plain, case, tf32=False)}
    if gpu:
        makers[PLAIN_TF32] = partial(plain, case, tf32=True)
    makers[EAGER] = partial(ours, case)
    if compiled:
        makers[COMPILED] = partial(ours, case, mode="default")
    if compiled and gpu:
        makers[GRAPHS] = partial(ours, case, mode="reduce-overhead")
    makers[ALONE] = partial(_alone, case)
    return makers


def ours(case: Case, *, mode: str = "") -> OurLoop:
    """Our loop on a ready batch; `mode` is that of `torch.compile`, empty for an eager network."""
    config, count = configure(case), case.steps
    module = build_module(config, patients=1)
    if mode:
        module.net.compile(mode=mode)
    return OurLoop(config, module, repeat(ready_batch(case), count), steps=count)


def plain(case: Case, *, tf32: bool) -> PlainLoop:
    """Our network in the plain loop."""
    module = build_module(configure(case))
    return PlainLoop(module.net, ready_batch(case), steps=case.steps, loss=module.loss, tf32=tf32)


def _alone(case: Case) -> ConvolutionsAlone:
    config = configure(case)
    net = build_module(config).net.to(device())
    precision, image = config["trainer"]["precision"], ready_batch(case)["image"]
    return ConvolutionsAlone(net, image, precision=precision, steps=case.steps)


def _no_compiler() -> str:
    """Why nothing can be compiled here; empty where it can. Triton wants C, the CPU C++."""
    language, key, usual = (
        ("C", "CC", "gcc") if torch.cuda.is_available() else ("C++", "CXX", "g++")
    )
    compiler = os.environ.get(key, usual)
    return "" if shutil.which(compiler) else f"no {language} compiler ({compiler})"
