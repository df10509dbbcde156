import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from brainseg.models.blocks import Norm
from brainseg.models.norm import LayerNorm2d, group_norm, layer_norm

B, C, H, W = 3, 16, 8, 16  # W == C, so that a norm over the width would be seen


@pytest.fixture
def image() -> Tensor:
    torch.manual_seed(0)
    shift = torch.randn(B, C, 1, 1)
    return 3 * torch.randn(B, C, H, W) + shift


def standardise(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    mean = values.mean(axes, keepdims=True)
    return (values - mean) / np.sqrt(values.var(axes, keepdims=True) + 1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "axes"),
    [
        ("batch", (B, C, H, W), (0, 2, 3)),
        ("layer", (B, C, H, W), (1, 2, 3)),
        ("layer2d", (B, C, H, W), (1,)),
        ("group", (B, 8, C // 8, H, W), (2, 3, 4)),
        ("instance", (B, C, H, W), (2, 3)),
    ],
)
def test_norm_matches_numpy_over_the_axes_it_names(
    name: str,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    image: Tensor,
    make_norm: Callable[[str], Norm],
) -> None:
    expected = standardise(image.numpy().reshape(shape), axes).reshape(B, C, H, W)

    np.testing.assert_allclose(make_norm(name)(C)(image).detach(), expected, atol=1e-5)


def test_group_norm_has_the_values_and_gradients_of_torchs(image: Tensor) -> None:
    outcomes = []
    for layer in (group_norm(C), nn.GroupNorm(8, C)):
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
        x = image.clone(memory_format=torch.channels_last).requires_grad_()
        out = layer(x)
        out.pow(3).sum().backward()
        assert x.grad is not None
        assert layer.weight.grad is not None
        outcomes.append((out.detach(), x.grad, layer.weight.grad))
    for ours, torchs in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-4, atol=1e-4)
    assert outcomes[0][0].is_contiguous(memory_format=torch.channels_last)


def test_no_norm_returns_the_image(image: Tensor, make_norm: Callable[[str], Norm]) -> None:
    assert torch.equal(make_norm("none")(C)(image), image)


def test_each_norm_but_batch_ignores_batch_size(norm: Norm, norm_name: str, image: Tensor) -> None:
    layer = norm(C)
    alone = torch.cat([layer(sample[None]) for sample in image])

    assert torch.allclose(layer(image), alone, atol=1e-5) == (norm_name != "batch")


def test_each_norm_has_a_scale_and_a_shift_for_each_channel(norm: Norm, norm_name: str) -> None:
    shapes = [tuple(p.shape) for p in norm(C).parameters()]

    assert shapes == ([] if norm_name == "none" else [(C,), (C,)])


def test_scale_and_shift_of_layer2d_act_on_channels(image: Tensor) -> None:
    layer = LayerNorm2d(C)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(C))
        layer.bias.copy_(-torch.arange(C))
    channel = torch.arange(C).view(1, C, 1, 1)

    assert torch.allclose(layer(image), LayerNorm2d(C)(image) * channel - channel, atol=1e-5)


def test_each_norm_is_the_same_in_channels_last(norm: Norm, image: Tensor) -> None:
    layer = norm(C)
    out = layer(image.to(memory_format=torch.channels_last))

    assert torch.allclose(out, layer(image), atol=1e-5)


@pytest.mark.parametrize("norm", [layer_norm, LayerNorm2d, group_norm])
def test_our_norms_stay_in_channels_last(norm: Norm, image: Tensor) -> None:
    out = norm(C)(image.to(memory_format=torch.channels_last))

    assert out.is_contiguous(memory_format=torch.channels_last)


def test_each_norm_takes_bf16_and_stays_close(norm: Norm, image: Tensor) -> None:
    layer = norm(C)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(image.bfloat16())

    assert torch.allclose(out.float(), layer(image), atol=0.1)


@pytest.mark.parametrize(
    ("channels", "groups", "message"),
    [
        (12, 8, "groups=8 must divide channels=12; set norm.groups to a divisor"),
        (4, 8, "groups=8 must divide channels=4; set norm.groups to a divisor"),
        (16, 1, "groups=1 is layer norm; group norm needs two or more; set norm=layer"),
        (16, 0, "groups=0 must be 2 or more; set norm.groups, 8 is usual"),
        (16, -8, "groups=-8 must be 2 or more; set norm.groups, 8 is usual"),
    ],
)
def test_group_norm_refuses_groups_that_do_not_fit(
    channels: int, groups: int, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        group_norm(channels, groups)


def test_one_channel_a_group_is_instance_norm_and_warned_of(image: Tensor) -> None:
    with pytest.warns(UserWarning, match="groups=16 of channels=16 is instance norm"):
        layer = group_norm(C, groups=C)

    assert torch.allclose(layer(image), nn.InstanceNorm2d(C)(image), atol=1e-5)


def test_group_norm_has_eight_groups_by_default(image: Tensor) -> None:
    assert torch.equal(group_norm(C)(image), group_norm(C, groups=8)(image))


def test_layer_norm_does_not_normalise_the_width(image: Tensor) -> None:
    assert not torch.allclose(layer_norm(C)(image), nn.LayerNorm(W)(image), atol=0.1)


def test_every_norm_hands_on_the_type_that_it_is_given(norm: Norm) -> None:
    x = torch.randn(2, 16, 8, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert norm(16)(x).dtype == torch.bfloat16
