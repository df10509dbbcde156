"""A U-Net whose encoder is one of torchvision's image classifiers."""

import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
import torchvision
from torch import Tensor, nn

from brainseg.models.blocks import UPSAMPLE, Norm, Padded, check, conv_block, he_init, norm_of

log = logging.getLogger(__name__)


class _Encoder(NamedTuple):
    build: Callable[..., Any]
    channels: tuple[int, ...]  # of its five stages, of strides 2 to 32
    ends: tuple[int, ...] = ()  # where each stage ends among `features`; none: a ResNet


ENCODERS = {
    "resnet18": _Encoder(torchvision.models.resnet18, (64, 64, 128, 256, 512)),
    "resnet34": _Encoder(torchvision.models.resnet34, (64, 64, 128, 256, 512)),
    "resnet50": _Encoder(torchvision.models.resnet50, (64, 256, 512, 1024, 2048)),
    "mobilenet_v3_large": _Encoder(
        torchvision.models.mobilenet_v3_large, (16, 24, 40, 112, 160), (2, 4, 7, 13, 16)
    ),
    "efficientnet_b0": _Encoder(
        torchvision.models.efficientnet_b0, (16, 24, 40, 112, 320), (2, 3, 4, 6, 8)
    ),
}
Name = Literal["resnet18", "resnet34", "resnet50", "mobilenet_v3_large", "efficientnet_b0"]


class EncoderUNet(Padded):
    """Five stages of a classifier, and a U-Net's decoder: [B, C, H, W] to logits [B, K, H, W].

    The encoder's own norms are replaced by the one that is asked for, so that no other is left.
    Padded to a multiple of 32, and to 64 at least (`Padded`), so that the deepest stage has more
    than one pixel.

    Args:
        in_channels: modalities of the image; the first convolution is made for as many.
        out_channels: regions, a binary mask each.
        norm: takes the channel count and returns the layer, or an option's name; used everywhere.
        encoder: one of torchvision's, as in `ENCODERS`.
        width: channels of the decoder's last stage; doubled at each stage below.
        dropout: share of the deepest channels that is dropped in training, 0 to below 1.
        upsample: `transposed` convolution, or `bilinear` interpolation.
        pretrained: begin with torchvision's weights from ImageNet: the convolutions', and with
            batch norm the norms' too. The first convolution's are averaged over the colours where
            the image has not three channels.

    Raises:
        ValueError: an argument is out of its range, or the weights cannot be had; or, in forward,
            an image is too small.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        *,
        norm: Norm | str,
        encoder: Name = "resnet34",
        width: int = 16,
        dropout: float = 0.0,
        upsample: Literal["transposed", "bilinear"] = "transposed",
        pretrained: bool = False,
    ) -> None:
        check(width, 5, dropout, upsample)
        if encoder not in ENCODERS:
            raise ValueError(
                f"encoder={encoder} is unknown; the choices are {', '.join(ENCODERS)}; "
                "set model.net.encoder"
            )
        super().__init__(multiple=32, min_size=32, padded_to=64)
        norm, own = norm_of(norm), ENCODERS[encoder]
        classifier = own.build(norm_layer=norm)
        if pretrained:
            _load(classifier, encoder)
        stages = _stages(classifier, own.ends)
        _take_channels(stages[0], in_channels)
        self.encoder = nn.ModuleList(stages)
        self.dropout = nn.Dropout2d(dropout)
        ups = [width * 2**level for level in reversed(range(5))]
        skips = [*own.channels[-2::-1], 0]  # none at the image's own resolution
        decoder: list[nn.Module] = []
        self.upsample = nn.ModuleList()
        for (below, o), skip in zip(pairwise([own.channels[-1], *ups]), skips, strict=True):
            self.upsample.append(UPSAMPLE[upsample](below, o))
            decoder.append(conv_block(skip + o, o, norm))
        self.decoder = nn.ModuleList(decoder)
        self.head = nn.Conv2d(width, out_channels, 1)
        for part in (self.upsample, self.decoder, self.head):
            part.apply(he_init)

    def logits(self, x: Tensor) -> Tensor:
        """Those of images whose sides are multiples of 32."""
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for upsample, block in zip(self.upsample, self.decoder, strict=True):
            x = upsample(x)
            x = block(torch.cat([skips.pop(), x], dim=1) if skips else x)
        logits: Tensor = self.head(x)
        return logits


def _stages(classifier: Any, ends: tuple[int, ...]) -> list[nn.Module]:
    """Its five stages, each of which halves the image."""
    if ends:
        return [classifier.features[first:end] for first, end in pairwise((0, *ends))]
    stem = nn.Sequential(classifier.conv1, classifier.bn1, classifier.relu)
    first = nn.Sequential(classifier.maxpool, classifier.layer1)
    return [stem, first, classifier.layer2, classifier.layer3, classifier.layer4]


def _take_channels(stem: Any, channels: int) -> None:
    """Let the first convolution take as many channels, with the same sum over them."""
    parent = stem if isinstance(stem[0], nn.Conv2d) else stem[0]
    old = parent[0]
    if channels == old.in_channels:
        return
    weight = old.weight.detach().mean(1, keepdim=True) * old.in_channels / channels
    new = nn.Conv2d(
        channels, old.out_channels, old.kernel_size, old.stride, old.padding, bias=False
    )
    with torch.no_grad():
        new.weight.copy_(weight.expand_as(new.weight))
    parent[0] = new


def _load(classifier: Any, encoder: str) -> None:
    """Put torchvision's weights in where they fit, and say what was taken."""
    weights = torchvision.models.get_model_weights(encoder)["DEFAULT"]
    try:
        found = weights.get_state_dict(progress=True, check_hash=True)
    except OSError as error:
        raise ValueError(
            f"model.net.pretrained=true; {weights} could not be downloaded ({error}); set it to "
            "false, or let this machine reach download.pytorch.org"
        ) from error
    modules: dict[str, nn.Module] = dict(classifier.named_modules())
    batch = any(isinstance(each, nn.BatchNorm2d) for each in modules.values())
    kept = {
        key: value
        for key, value in found.items()
        if batch or isinstance(modules.get(key.rpartition(".")[0]), nn.Conv2d)
    }
    classifier.load_state_dict(kept, strict=batch)
    what = "convolutions and norms" if batch else "convolutions alone: the norm is not batch"
    log.info("%s begins with %s, %s", encoder, weights, what)
