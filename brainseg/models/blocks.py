"""What the networks share: blocks, up-sampling, initialisation, padding to a multiple."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brainseg.models.norm import named

Norm = Callable[[int], nn.Module]
DEEPEST = 8  # down-samplings; more see images above 512 pixels alone, with billions of weights


class Padded(nn.Module):
    """A network of images of any size: images [B, C, H, W] to logits [B, K, H, W].

    The image is padded below and on the right to a multiple of some pixels by repeating its
    border, and the logits are cropped back.

    Args:
        multiple: pixels that `logits` needs a multiple of.
        min_size: the smallest H and W that forward takes.
        padded_to: pixels that an image is padded to at least; not where the network is exported.

    Raises:
        ValueError: in forward, an image is too small.
    """

    def __init__(self, multiple: int, min_size: int, padded_to: int = 0) -> None:
        super().__init__()
        self.multiple, self.min_size, self.padded_to = multiple, min_size, padded_to

    def logits(self, x: Tensor) -> Tensor:
        """The network itself, on images whose sides are multiples."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [B, K, H, W] of images [B, C, H, W]."""
        H, W = x.shape[-2:]
        if min(H, W) < self.min_size:
            raise ValueError(
                f"image of {H}x{W} px; this depth needs at least {self.min_size}x{self.min_size}; "
                "lower model.net.depth or use larger images"
            )
        right, below = -W % self.multiple, -H % self.multiple
        # a pad of nothing is a copy; an exported network takes images of any size
        if not torch.compiler.is_exporting():
            right, below = max(right, self.padded_to - W), max(below, self.padded_to - H)
            if not (right or below):
                return self.logits(x)
        padded = F.pad(x, (0, right, 0, below), mode="replicate")
        # Padding by less than nothing crops; a slice would tie torch.export to the example's size.
        return F.pad(self.logits(padded), (0, -right, 0, -below))


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


def norm_of(norm: Norm | str) -> Norm:
    """A norm, or that of an option's name."""
    return named(norm) if isinstance(norm, str) else norm


def check(width: int, depth: int, dropout: float, upsample: str) -> None:
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
