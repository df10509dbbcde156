"""Attention U-Net (Oktay et al. 2018): what comes over a skip is weighted by what lies below it."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from brainseg.models.blocks import Norm, he_init
from brainseg.models.unet import UNet


class Gate(nn.Module):
    """Additive attention (eq. 1 and 2): a weight in [0, 1] for each pixel of a skip connection.

    The skip is looked at at the resolution of the gating signal, and the weights are brought back
    by bilinear interpolation. No norm, as in the paper.

    Args:
        skip: channels of the skip connection [B, skip, H, W].
        signal: channels of the level below [B, signal, H/2, W/2].
    """

    def __init__(self, skip: int, signal: int) -> None:
        super().__init__()
        self.of_skip = nn.Conv2d(skip, skip, 2, stride=2, bias=False)
        self.of_signal = nn.Conv2d(signal, skip, 1)
        self.score = nn.Conv2d(skip, 1, 1)

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """The skip, weighted, in its own shape."""
        found = self.score(F.relu(self.of_skip(skip) + self.of_signal(signal)))
        weight = F.interpolate(found.sigmoid(), scale_factor=2.0, mode="bilinear")
        return skip * weight


class AttentionUNet(UNet):
    """A `UNet` with a gate on every skip connection; arguments, shapes and errors are its own."""

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
        super().__init__(
            in_channels,
            out_channels,
            norm=norm,
            width=width,
            depth=depth,
            dropout=dropout,
            upsample=upsample,
        )
        widths = [width * 2**level for level in reversed(range(depth))]
        self.gates = nn.ModuleList(Gate(each, 2 * each) for each in widths)
        self.gates.apply(he_init)

    def skip(self, k: int, skip: Tensor, below: Tensor) -> Tensor:
        """The skip, weighted by the k-th gate."""
        weighted: Tensor = self.gates[k](skip, below)
        return weighted
