"""U-Net (Ronneberger et al. 2015) with a choice of norm; returns logits, never probabilities."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brainseg.models.norm import named

Norm = Callable[[int], nn.Module]
DEEPEST = 8  # down-samplings; more see images above 512 pixels alone, with billions of weights


def conv_block(in_channels: int, out_channels: int, norm: Norm) -> nn.Sequential:
    """Twice (3x3 convolution, norm, ReLU), [B, in_channels, H, W] to [B, out_channels, H, W].

    Biases stay for every norm, also where batch and instance norm make them redundant, so that
    networks differ in the norm alone.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        norm(out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        norm(out_channels),
        nn.ReLU(inplace=True),
    )


def transposed(in_channels: int, out_channels: int) -> nn.Module:
    """Twofold up-sampling by a 2x2 transposed convolution, as in the paper."""
    return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)


def bilinear(in_channels: int, out_channels: int) -> nn.Module:
    """Twofold bilinear up-sampling behind a 1x1 convolution that sets the channels.

    The two commute; in this order the convolution sees a quarter of the pixels.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    )


UPSAMPLE = {"transposed": transposed, "bilinear": bilinear}


@torch.no_grad()
def he_init(module: nn.Module) -> None:
    """Draw the weights of a convolution from N(0, 2 / fan_in) (He et al. 2015), set biases to 0.

    fan_in counts the inputs that one output pixel sees: with stride 2, a 2x2 transposed
    convolution shows each output one input pixel. Other modules are left alone.
    """
    if isinstance(module, nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=(2 / module.in_channels) ** 0.5)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


class UNet(nn.Module):
    """U-Net: images [B, in_channels, H, W] to logits [B, out_channels, H, W], any H and W.

    Level l of `depth` + 1 has `width` * 2**l channels: width 64 and depth 3 is 64-128-256-512.
    The image is padded below and on the right to a multiple of 2**depth by repeating its border,
    and the logits are cropped back. One seed gives the same initial weights whatever the norm.

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
        super().__init__()
        _check(width, depth, dropout, upsample)
        norm = named(norm) if isinstance(norm, str) else norm
        self.min_size = 2 * 2**depth
        self.multiple = 2**depth
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

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [B, out_channels, H, W] of images [B, in_channels, H, W]."""
        H, W = x.shape[-2:]
        if min(H, W) < self.min_size:
            raise ValueError(
                f"image of {H}x{W} px; this depth needs at least {self.min_size}x{self.min_size}; "
                "lower model.net.depth or use larger images"
            )
        right, below = -W % self.multiple, -H % self.multiple
        # a pad of nothing is a copy; an exported network takes images of any size
        pads = torch.compiler.is_exporting() or right or below
        if pads:
            x = F.pad(x, (0, right, 0, below), mode="replicate")

        skips: list[Tensor] = []
        for block in self.encoder:
            skips.append(block(x))
            x = self.pool(skips[-1])
        x = self.dropout(self.bottleneck(x))
        for upsample, block in zip(self.upsample, self.decoder, strict=True):
            x = block(torch.cat([skips.pop(), upsample(x)], dim=1))
        # Padding by less than nothing crops; a slice would tie torch.export to the example's size.
        logits: Tensor = self.head(x)
        return F.pad(logits, (0, -right, 0, -below)) if pads else logits


def _check(width: int, depth: int, dropout: float, upsample: str) -> None:
    """Refuse sizes that no network has, by the names they have on the command line."""
    if width < 1:
        raise ValueError(f"width={width} must be 1 or more; set model.net.width, 32 is usual")
    if not 1 <= depth <= DEEPEST:
        raise ValueError(
            f"depth={depth} must be within 1 and {DEEPEST}; set model.net.depth, 4 is usual"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout} must be in [0, 1); set model.net.dropout")
    if upsample not in UPSAMPLE:
        raise ValueError(
            f"upsample={upsample} is unknown; the choices are {', '.join(UPSAMPLE)}; "
            "set model.net.upsample"
        )
