"""The convolutions of a network alone, forward and backward: what a training step cannot beat."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import timed
from brainseg.hardware import keep_freed_memory

DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Convolution:
    """One convolution at the shapes it has in the network, in the precision it runs in.

    Attributes:
        x: its input.
        weight: its weight.
        grad: the gradient of its output.
        settings: stride, padding, dilation, transposed, output padding, groups.
        first: whether it sees the image, which needs no gradient.
    """

    x: Tensor
    weight: Tensor
    grad: Tensor
    settings: tuple[Any, ...]
    first: bool

    def run(self) -> None:
        """Forward and backward, without autograd around them."""
        bias = self.grad.new_zeros(self.grad.shape[1])
        torch.ops.aten.convolution(self.x, self.weight, bias, *self.settings)
        torch.ops.aten.convolution_backward(
            self.grad,
            self.x,
            self.weight,
            [len(bias)],
            *self.settings,
            [not self.first, True, True],
        )


class ConvolutionsAlone:
    """All convolutions of a network, channels_last; a turn returns slices per second.

    Args:
        net: on the device.
        image: a batch `[B, C, H, W]`.
        precision: as of Lightning: bf16-mixed, 16-mixed or 32-true.
        steps: in a turn.
    """

    def __init__(self, net: nn.Module, image: Tensor, *, precision: str, steps: int) -> None:
        self.all = convolutions(net, image, DTYPES.get(precision, torch.float32))
        self.slices = len(image)
        self.steps = steps

    @torch.no_grad()
    def __call__(self) -> float:
        """Run and measure."""
        keep_freed_memory()
        with timed() as watch:
            for _ in range(self.steps):
                for convolution in self.all:
                    convolution.run()
        return self.steps * self.slices / watch.seconds


@torch.no_grad()
def convolutions(net: nn.Module, image: Tensor, dtype: torch.dtype) -> list[Convolution]:
    """The convolutions that an image passes through, in order, with tensors of their own."""
    found: list[Convolution] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        x, weight, grad = (
            torch.randn_like(each, dtype=dtype).to(memory_format=torch.channels_last)
            for each in (inputs[0], layer.weight, output)
        )
        transposed = isinstance(layer, nn.ConvTranspose2d)
        settings = (layer.stride, layer.padding, layer.dilation, transposed, layer.output_padding)
        first = not found
        found.append(Convolution(x, weight, grad, (*settings, layer.groups), first))

    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    net(image)
    for hook in hooks:
        hook.remove()
    return found
