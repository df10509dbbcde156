"""Normalisation layers as callables that take the channel count first: `norm(channels)`.

`norm=batch|instance|none` are torch's own BatchNorm2d, InstanceNorm2d and Identity.
"""

import warnings
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def named(name: str) -> Callable[[int], nn.Module]:
    """The norm of an option's name, with its defaults.

    Raises:
        ValueError: there is no such norm.
    """
    if name not in NORMS:
        raise ValueError(f"norm={name} is unknown; the choices are {', '.join(NORMS)}")
    return NORMS[name]


def layer_norm(channels: int) -> nn.GroupNorm:
    """Layer norm of an image: statistics over (C, H, W) of each sample.

    One mean and variance a sample, one scale and shift a channel (Wu & He 2018, fig. 2).
    Not `nn.LayerNorm(channels)`, which would normalise the width of a [B, C, H, W] tensor.
    """
    return OneGroupNorm(1, channels)


class OneGroupNorm(nn.GroupNorm):
    """torch's, handing on the type that it is given; see `GroupNorm`."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, H, W]."""
        normal: Tensor = super().forward(x)
        return normal.to(x.dtype)


def group_norm(channels: int, groups: int = 8) -> nn.GroupNorm:
    """Group norm: statistics over (C / groups, H, W) of each sample (Wu & He 2018, eq. 7).

    Warns where a group is one channel, which is instance norm.

    Raises:
        ValueError: `groups` is below 2, or does not divide `channels`.
    """
    if groups == 1:
        raise ValueError("groups=1 is layer norm; group norm needs two or more; set norm=layer")
    if groups < 1:
        raise ValueError(f"groups={groups} must be 2 or more; set norm.groups, 8 is usual")
    if channels % groups:
        raise ValueError(
            f"groups={groups} must divide channels={channels}; set norm.groups to a divisor"
        )
    if channels == groups:
        warnings.warn(
            f"groups={groups} of channels={channels} is instance norm at this level; "
            "lower norm.groups or raise model.net.width",
            stacklevel=1,  # one place for all callers, so that Python shows it once a run
        )
    return GroupNorm(groups, channels)


class GroupNorm(nn.GroupNorm):
    """torch's, given each channel's plane in one piece on a CPU.

    There its backward over channels_last takes so much longer (torch 2.14) that copying in and out
    makes a whole training step a quarter shorter: docs/performance.md.

    In mixed precision CUDA computes it in float32 and hands float32 on, unlike batch and instance
    norm: it is cast back, so that cells of a sweep differ in the norm alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, H, W]; the same values as torch's, channels_last on a CPU."""
        if x.device.type != "cpu":
            return super().forward(x).to(x.dtype)
        planes: Tensor = super().forward(x.contiguous())
        return planes.contiguous(memory_format=torch.channels_last)


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels at each pixel, [B, C, H, W] to the same shape.

    The default axis of Keras' LayerNormalization, and the norm of ConvNeXt (Liu et al. 2022).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; channels_last comes out, and if it went in nothing is copied on the way."""
        x = x.permute(0, 2, 3, 1)  # [B, H, W, C], contiguous if x was channels_last
        y = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return y.to(x.dtype).permute(0, 3, 1, 2)  # [B, C, H, W], channels_last


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": layer_norm,
    "layer2d": LayerNorm2d,
    "group": group_norm,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "none": nn.Identity,
}
