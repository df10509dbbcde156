import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brainseg.models.blocks import Norm, bilinear
from brainseg.models.norm import group_norm
from brainseg.models.unet import UNet

NORM_CLASS = {
    "batch": "BatchNorm2d",
    "layer": "OneGroupNorm",
    "layer2d": "LayerNorm2d",
    "group": "GroupNorm",
    "instance": "InstanceNorm2d",
    "none": None,
}


def unet(norm: Norm = nn.BatchNorm2d, seed: int = 0, **kwargs: Any) -> UNet:
    torch.manual_seed(seed)
    return UNet(3, norm=norm, **({"width": 16, "depth": 2} | kwargs))


def convolutions(net: nn.Module) -> list[nn.Module]:
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


@pytest.mark.parametrize("upsample", ["transposed", "bilinear"])
@pytest.mark.parametrize(
    ("depth", "height", "width"), [(2, 8, 8), (2, 9, 23), (3, 32, 17), (4, 33, 47)]
)
def test_logits_have_the_size_of_the_image(
    depth: int, height: int, width: int, upsample: str
) -> None:
    net = unet(depth=depth, upsample=upsample, width=4, out_channels=2).eval()

    assert net(torch.rand(2, 3, height, width)).shape == (2, 2, height, width)


def test_padding_repeats_the_border_below_and_on_the_right() -> None:
    net = unet().eval()
    image = torch.rand(1, 3, 13, 18)
    padded = F.pad(image, (0, 2, 0, 3), mode="replicate")

    assert torch.equal(net(image), net(padded)[..., :13, :18])


@pytest.mark.parametrize(("height", "width"), [(15, 64), (64, 15), (1, 1)])
def test_image_below_the_smallest_size_is_refused_in_one_line(height: int, width: int) -> None:
    net = unet(depth=3)
    message = (
        f"image of {height}x{width} px; this depth needs at least 16x16; "
        "lower model.net.depth or use larger images"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        net(torch.rand(1, 3, height, width))


def test_exported_network_takes_images_of_other_sizes() -> None:
    net = unet(depth=1, width=4).eval()
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    program = torch.export.export(net, (torch.rand(2, 3, 9, 12),), dynamic_shapes=(free,))
    image = torch.rand(3, 3, 16, 7)

    torch.testing.assert_close(program.module()(image), net(image))


def test_every_norm_trains_on_one_image_of_the_smallest_size(norm: Norm) -> None:
    net = unet(norm, depth=3)
    net(torch.rand(1, 3, net.min_size, net.min_size)).sum().backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_width_64_and_depth_3_is_64_128_256_512() -> None:
    net = unet(width=64, depth=3)
    blocks = [*net.encoder, net.bottleneck, *net.decoder]

    assert [block[0].out_channels for block in blocks] == [64, 128, 256, 512, 256, 128, 64]
    assert [block[0].in_channels for block in blocks] == [3, 64, 128, 256, 512, 256, 128]


def test_no_other_norm_is_left_anywhere(norm: Norm, norm_name: str) -> None:
    net = unet(norm, depth=4)
    expected = NORM_CLASS[norm_name]
    for part, layers in [(net.encoder, 8), (net.bottleneck, 2), (net.decoder, 8)]:
        found = [type(m).__name__ for m in part.modules() if "Norm" in type(m).__name__]
        assert found == ([expected] * layers if expected else [])


def test_initial_weights_are_the_same_for_every_norm(norm: Norm) -> None:
    for ours, other in zip(convolutions(unet(norm)), convolutions(unet()), strict=True):
        assert torch.equal(ours.weight, other.weight)


def test_seeds_give_different_weights() -> None:
    assert not torch.equal(unet(seed=0).head.weight, unet(seed=1).head.weight)


def test_every_convolution_has_a_bias_of_zero_for_every_norm(norm: Norm) -> None:
    assert all(torch.count_nonzero(conv.bias) == 0 for conv in convolutions(unet(norm)))


@pytest.mark.parametrize("upsample", ["transposed", "bilinear"])
def test_weights_are_he_initialised(upsample: str) -> None:
    for conv in convolutions(unet(upsample=upsample, width=64)):
        pixels = 1 if isinstance(conv, nn.ConvTranspose2d) else conv.weight[0, 0].numel()
        expected = (2 / (conv.in_channels * pixels)) ** 0.5
        assert conv.weight.std().item() == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("upsample", ["transposed", "bilinear"])
def test_signal_neither_vanishes_nor_explodes_without_a_norm(upsample: str) -> None:
    net = unet(nn.Identity, width=32, depth=4, upsample=upsample)

    assert 0.1 < net(torch.randn(2, 3, 64, 64)).std() < 10


def test_output_is_logits_without_an_activation() -> None:
    net = unet().eval()
    image = torch.rand(1, 3, 16, 16)
    logits = net(image)
    with torch.no_grad():
        net.head.weight.mul_(100)

    assert torch.allclose(net(image), 100 * logits, rtol=1e-4, atol=1e-3)


def test_every_skip_connection_reaches_the_logits() -> None:
    net = unet(depth=3).eval()
    image = torch.rand(1, 3, 16, 16)
    for level, block in enumerate(net.decoder):
        skipped = block[0].out_channels  # [skip, upsampled] are stacked in this order
        before = net(image)
        with torch.no_grad():
            block[0].weight[:, :skipped].zero_()
        assert not torch.equal(net(image), before), f"decoder {level}"


def test_bilinear_upsampling_commutes_with_its_convolution() -> None:
    torch.manual_seed(0)
    block = bilinear(8, 4)
    conv, upsample = block
    x = torch.randn(1, 8, 5, 6)

    assert torch.allclose(block(x), conv(upsample(x)), atol=1e-5)


def test_dropout_acts_in_training_alone() -> None:
    net = unet(nn.Identity, dropout=0.5)
    image = torch.rand(1, 3, 16, 16)

    assert not torch.equal(net(image), net(image))
    net.eval()
    assert torch.equal(net(image), net(image))


def test_no_dropout_draws_no_random_numbers() -> None:
    net = unet(dropout=0.0)
    image = torch.rand(1, 3, 16, 16)
    state = torch.get_rng_state()
    net(image)

    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("upsample", ["transposed", "bilinear"])
def test_bf16_autocast_in_channels_last_stays_close_to_float32(norm: Norm, upsample: str) -> None:
    net = unet(norm, upsample=upsample).to(memory_format=torch.channels_last)
    image = torch.rand(4, 3, 32, 32).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(image)

    assert (logits.float() - net(image)).abs().mean() < 0.05


def test_every_norm_learns_to_find_a_square(norm: Norm) -> None:
    net = unet(norm)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    image, mask = squares()
    for _ in range(25):
        loss = F.binary_cross_entropy_with_logits(net(image), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    preds = net(image) > 0

    assert (2 * (preds * mask).sum() / (preds.sum() + mask.sum())).item() > 0.8


def squares() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(4, 1, 32, 32)
    for sample in range(4):
        mask[sample, :, 4 * sample : 4 * sample + 12, 8:20] = 1
    return mask + 0.3 * torch.randn(4, 3, 32, 32, generator=generator), mask


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"width": 0}, "width=0 must be 1 or more; set model.net.width, 32 is usual"),
        ({"depth": 0}, "depth=0 must be within 1 and 8; set model.net.depth, 4 is usual"),
        ({"dropout": 1.0}, "dropout=1.0 must be in [0, 1); set model.net.dropout"),
        ({"dropout": -0.1}, "dropout=-0.1 must be in [0, 1); set model.net.dropout"),
        (
            {"upsample": "nearest"},
            "upsample=nearest is unknown; the choices are transposed, bilinear; "
            "set model.net.upsample",
        ),
        (
            {"norm": group_norm, "width": 12},
            "groups=8 must divide channels=12; set norm.groups to a divisor",
        ),
    ],
)
def test_sizes_out_of_range_are_refused_in_one_line(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        unet(**kwargs)
