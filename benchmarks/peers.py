"""The U-Nets that a user would pick instead, in the loop that goes with them, beside ours."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from benchmarks.apart import Make, apart
from benchmarks.inputs import configure, ready_batch
from benchmarks.interleave import interleave
from benchmarks.loops import PlainLoop
from benchmarks.row import Row
from benchmarks.scale import Case, Scale
from benchmarks.step import ours
from brainseg.training.build import build_module


def rows(scale: Scale) -> Iterator[Row]:
    """Ours against each peer, of the largest network."""
    case = scale.cases[0]
    mine = f"step, {case}: ours, {_millions(build_module(configure(case)).net)}"
    makers: dict[str, Make] = {mine: partial(ours, case)}
    for name, build in PEERS.items():
        try:
            parameters = _millions(build(case))
        except ImportError as error:
            yield Row(mine, name, skipped=f"{error.name} is not installed")
            continue
        makers[f"{name}, {parameters}"] = partial(plain, build, case)
    if len(makers) == 1:
        return
    with apart(makers) as contenders:
        values = interleave(contenders, case.rounds, case.seconds)
    for name in list(values)[1:]:
        yield Row(mine, f"{name}, float32", "slices/s", values[mine], values[name])


def plain(build: Callable[[Case], nn.Module], case: Case) -> PlainLoop:
    """A peer in the plain loop."""
    return PlainLoop(build(case), ready_batch(case), steps=case.steps)


def _monai_unet(case: Case) -> nn.Module:
    """As in MONAI's tutorials: strided convolutions, residual units, here with our widths."""
    return _class("monai.networks.nets", "UNet")(
        spatial_dims=2,
        in_channels=_channels(case),
        out_channels=1,
        channels=tuple(case.width * 2**level for level in range(case.depth + 1)),
        strides=(2,) * case.depth,
        num_res_units=2,
    )


def _monai_basic_unet(case: Case) -> nn.Module:
    """Five levels, two convolutions each; its default features, times our width / 32."""
    features = tuple(case.width * factor for factor in (1, 1, 2, 4, 8, 1))
    return _class("monai.networks.nets", "BasicUNet")(
        spatial_dims=2, in_channels=_channels(case), out_channels=1, features=features
    )


def smp_unet(case: Case) -> nn.Module:
    """The default of its users, a ResNet-34 encoder, whatever our width."""
    return _class("segmentation_models_pytorch", "Unet")(
        "resnet34", encoder_weights=None, in_channels=_channels(case), classes=1
    )


PEERS = {
    "MONAI UNet": _monai_unet,
    "MONAI BasicUNet": _monai_basic_unet,
    "segmentation-models-pytorch Unet, ResNet-34": smp_unet,
}


def monai_attention_unet(case: Case) -> nn.Module:
    """Of our widths, with its own blocks."""
    return _class("monai.networks.nets", "AttentionUnet")(
        spatial_dims=2,
        in_channels=_channels(case),
        out_channels=1,
        channels=tuple(case.width * 2**level for level in range(case.depth + 1)),
        strides=(2,) * case.depth,
    )


def smp_mobilenet(case: Case) -> nn.Module:
    """With MobileNetV3 large, whatever our width."""
    return _class("segmentation_models_pytorch", "Unet")(
        "timm-mobilenetv3_large_100",
        encoder_weights=None,
        in_channels=_channels(case),
        classes=1,
    )


def _channels(case: Case) -> int:
    return len(configure(case)["data"]["modalities"])


def _class(module: str, name: str) -> Callable[..., nn.Module]:
    found: Any = getattr(import_module(module), name)
    return found  # type: ignore[no-any-return]


def _millions(net: nn.Module) -> str:
    return f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters"
