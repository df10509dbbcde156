"""U-Net (Ronneberger et al. 2015) with a choice of norm; returns logits, never probabilities."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from brainseg.models.blocks import UPSAMPLE, Norm, Padded, check, conv_block, he_init, norm_of


class UNet(Padded):
    """U-Net: images [B, in_channels, H, W] to logits [B, out_channels, H, W], any H and W.

    Level l of `depth` + 1 has `width` * 2**l channels: width 64 and depth 3 is 64-128-256-512.
    Padded to a multiple of 2**depth (`Padded`). One seed gives the same weights for every norm.

    Args:
        in_channels: modalities of the image.
        out_channels: regions, a binary mask each.
        norm: takes the channel count and returns the layer, or an option's name, such as group;
            used in encoder, bottleneck, decoder.
        width: channels of the first level.
        depth: number of down-samplings.
        dropout: share of the bottleneck's channels that is dropped in training, 0 to below 1
            (the paper's place, "at the end of the contracting path"; whole channels, as
            neighbouring pixels are correlated, Tompson et al. 2015).
        upsample: `transposed` convolution, or `bilinear` interpolation.

    Attributes:
        min_size: the smallest H and W that forward takes, 2 * 2**depth pixels.

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
        *widths, deepest = (width * 2**level for level in range(depth + 1))
        ups = list(reversed(widths))

        self.encoder = nn.ModuleList(
            conv_block(i, o, norm) for i, o in pairwise([in_channels, *widths])
        )
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = conv_block(widths[-1], deepest, norm)
        self.dropout = nn.Dropout2d(dropout)
        self.upsample = nn.ModuleList(UPSAMPLE[upsample](2 * o, o) for o in ups)
        self.decoder = nn.ModuleList(conv_block(2 * o, o, norm) for o in ups)
        self.head = nn.Conv2d(width, out_channels, 1)
        self.apply(he_init)

    def logits(self, x: Tensor) -> Tensor:
        """Those of images whose sides are multiples of 2**depth."""
        skips: list[Tensor] = []
        for block in self.encoder:
            skips.append(block(x))
            x = self.pool(skips[-1])
        x = self.dropout(self.bottleneck(x))
        for k, (upsample, block) in enumerate(zip(self.upsample, self.decoder, strict=True)):
            x = block(torch.cat([self.skip(k, skips.pop(), x), upsample(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits

    def skip(self, k: int, skip: Tensor, below: Tensor) -> Tensor:
        """What the k-th block of the decoder gets of a skip [B, C, H, W], and what lies below it.

        Here the skip itself; `below` is [B, 2 C, H / 2, W / 2].
        """
        return skip
