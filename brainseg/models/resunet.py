"""Deep residual U-Net (Zhang, Liu & Wang 2018), with a choice of norm."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from brainseg.models.blocks import UPSAMPLE, Norm, Padded, check, he_init, norm_of


class Residual(nn.Module):
    """Twice (norm, ReLU, 3x3 convolution), and the input added (fig. 1b).

    Where the shape changes, the input goes through a 1x1 convolution.

    Args:
        in_channels: of [B, in_channels, H, W].
        out_channels: of [B, out_channels, H / stride, W / stride].
        norm: takes the channel count and returns the layer.
        stride: of the first convolution: 2 is the network's down-sampling.
        first: whether it sees the image, which is neither normalised nor cut at 0.
    """

    def __init__(
        self, in_channels: int, out_channels: int, norm: Norm, stride: int = 1, first: bool = False
    ) -> None:
        super().__init__()
        before = [] if first else [norm(in_channels), nn.ReLU()]
        self.block = nn.Sequential(
            *before,
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1),
            norm(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        # oneDNN writes past its memory in the backward pass of a strided 1x1 convolution with fewer
        # channels than a register holds (torch 2.14, its issue 6035): these take every second pixel
        self.every = stride if in_channels < 16 else 1
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride // self.every)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, out_channels, H / stride, W / stride]."""
        kept = x[..., :: self.every, :: self.every] if self.every > 1 else x
        added: Tensor = self.block(x) + self.shortcut(kept)
        return added


class ResUNet(Padded):
    """Residual U-Net: images [B, in_channels, H, W] to logits [B, out_channels, H, W].

    Level l has `width` * 2**l channels; the paper has width 64 and depth 3. Down-sampling is a
    stride, not a pool. Padded to a multiple of 2**depth (`Padded`). A last norm and ReLU stand
    before the head, for the blocks end in a convolution.

    Args:
        in_channels: modalities of the image.
        out_channels: regions, a binary mask each.
        norm: takes the channel count and returns the layer, or an option's name; used everywhere.
        width: channels of the first level.
        depth: number of down-samplings.
        dropout: share of the bottleneck's channels that is dropped in training, 0 to below 1.
        upsample: `transposed` convolution, or `bilinear` interpolation.

    Raises:
        ValueError: an argument is out of its range; or, in forward, an image is too small.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        *,
        norm: Norm | str,
        width: int = 32,
        depth: int = 4,
        dropout: float = 0.0,
        upsample: Literal["transposed", "bilinear"] = "transposed",
    ) -> None:
        check(width, depth, dropout, upsample)
        super().__init__(multiple=2**depth, min_size=2 * 2**depth)
        norm = norm_of(norm)
        widths = [width * 2**level for level in range(depth + 1)]
        ups = widths[-2::-1]
        self.stem = Residual(in_channels, width, norm, first=True)
        self.encoder = nn.ModuleList(Residual(i, o, norm, stride=2) for i, o in pairwise(widths))
        self.dropout = nn.Dropout2d(dropout)
        self.upsample = nn.ModuleList(UPSAMPLE[upsample](2 * o, o) for o in ups)
        self.decoder = nn.ModuleList(Residual(2 * o, o, norm) for o in ups)
        self.last = nn.Sequential(norm(width), nn.ReLU(inplace=True))
        self.head = nn.Conv2d(width, out_channels, 1)
        self.apply(he_init)

    def logits(self, x: Tensor) -> Tensor:
        """Those of images whose sides are multiples of 2**depth."""
        levels = [self.stem(x)]
        for block in self.encoder:
            levels.append(block(levels[-1]))
        x = self.dropout(levels.pop())
        for upsample, block in zip(self.upsample, self.decoder, strict=True):
            x = block(torch.cat([levels.pop(), upsample(x)], dim=1))
        logits: Tensor = self.head(self.last(x))
        return logits
