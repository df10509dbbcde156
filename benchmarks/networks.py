"""A training step of each other network beside the plain loop's, and the peers' of its kind."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from torch import nn

from benchmarks import peers
from benchmarks.apart import Make, apart
from benchmarks.interleave import interleave
from benchmarks.row import Row
from benchmarks.scale import Case, Scale
from benchmarks.step import PLAIN, UNIT, ours, plain

KINDS: dict[str, tuple[str, Callable[[Case], nn.Module]] | None] = {
    "attention_unet": ("MONAI AttentionUnet", peers.monai_attention_unet),
    "resunet": None,
    "unet_resnet34": ("segmentation-models-pytorch Unet, ResNet-34", peers.smp_unet),
    "unet_mobilenet": ("segmentation-models-pytorch Unet, MobileNetV3", peers.smp_mobilenet),
}


def rows(scale: Scale) -> Iterator[Row]:
    """Each network, of the smallest case."""
    for model, peer in KINDS.items():
        case = replace(scale.cases[-1], model=model)
        makers: dict[str, Make] = {
            "ours": partial(ours, case),
            PLAIN: partial(plain, case, tf32=False),
        }
        if peer is not None:
            name, build = peer
            try:
                build(case)
            except (ImportError, KeyError) as error:
                yield Row(f"step, {case}: ours", name, skipped=f"not installed here ({error})")
            else:
                makers[f"{name}, float32"] = partial(peers.plain, build, case)
        with apart(makers) as contenders:
            values = interleave(contenders, case.rounds, case.seconds)
        for against in list(values)[1:]:
            yield Row(f"step, {case}: ours", against, UNIT, values["ours"], values[against])
