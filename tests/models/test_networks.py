"""Every network under every norm; what only one of them has stands in its own file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from brainseg.config import CONF, compose, instantiate
from brainseg.models.blocks import Norm, Padded
from brainseg.models.norm import NORMS
from brainseg.training.build import build_module
from tests.conftest import plain

NETWORKS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
SMALL = {"width": 8}


def network(name: str, norm: str = "batch", *, seed: int = 0, **kwargs: Any) -> Padded:
    node = compose([f"model={name}", f"norm={norm}"]).model.net
    torch.manual_seed(seed)
    net: Padded = instantiate(node, in_channels=4, **(SMALL | kwargs))
    return net


def norms_of(net: nn.Module) -> set[str]:
    names = {type(each).__name__ for each in net.modules()}
    return {name for name in names if "Norm" in name and not name.endswith("Activation")}


@pytest.mark.parametrize("norm", sorted(NORMS))
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains_under_every_norm_and_no_other_is_left(name: str, norm: str) -> None:
    net = network(name, norm, out_channels=3, width=16)
    expected = {type(NORMS[norm](16)).__name__} - {"Identity"}
    assert norms_of(net) == expected
    for size in (32, 33, 96):
        assert net.eval()(torch.rand(2, 4, size, size)).shape == (2, 3, size, size)
    net.train()(torch.randn(1, 4, 32, 32)).square().sum().backward()
    without = [key for key, each in net.named_parameters() if each.grad is None]
    assert not without
    assert all(each.grad.isfinite().all() for each in net.parameters() if each.grad is not None)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_narrow_network_learns_what_float64_would(name: str) -> None:
    """Where a kernel reads or writes past its channels the gradients are wrong, or the heap is."""
    narrow, double = (network(name, "none", width=2) for _ in range(2))
    image = torch.rand(2, 4, 64, 64)
    narrow.to(memory_format=torch.channels_last)
    narrow(image.contiguous(memory_format=torch.channels_last)).square().mean().backward()
    double.double()(image.double()).square().mean().backward()
    for (key, one), other in zip(narrow.named_parameters(), double.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        error = (one.grad - other.grad).norm() / other.grad.norm().clamp(min=1e-12)
        assert error < 0.05, key  # a ReLU at its bend may differ by rounding: some thousandths


@pytest.mark.parametrize("name", NETWORKS)
def test_one_seed_gives_the_same_weights_for_every_norm(name: str) -> None:
    def convolutions(norm: str) -> list[torch.Tensor]:
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        modules = network(name, norm, width=16).modules()
        return [each.weight for each in modules if isinstance(each, kinds)]

    for norm in ("group", "none"):
        pairs = zip(convolutions("batch"), convolutions(norm), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
    assert not torch.equal(network(name).head.weight, network(name, seed=1).head.weight)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_takes_images_of_other_sizes(name: str) -> None:
    net = network(name).eval()
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    program = torch.export.export(net, (torch.rand(2, 4, 96, 128),), dynamic_shapes=(free,))
    image = torch.rand(3, 4, 128, 75)
    torch.testing.assert_close(program.module()(image), net(image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_acts_in_training_alone(name: str) -> None:
    net, image = network(name, "none", dropout=0.5), torch.rand(1, 4, 64, 64)
    assert torch.equal(net.eval()(image), net(image))
    torch.manual_seed(0)
    first = net.train()(image)
    assert not torch.equal(first, net(image))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_image_below_32_px_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=r"^image of 16x64 px; .* at least 32x32; "):
        network(name)(torch.rand(1, 4, 16, 64))


def three_layers(in_channels: int, out_channels: int = 1, *, norm: Norm) -> nn.Module:
    layers = [nn.Conv2d(in_channels, 8, 3, padding=1), norm(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(8, out_channels, 1))


def test_a_network_is_added_by_one_function_and_one_file(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(
        "_target_: brainseg.module.SegmentationModule\n"
        "net:\n  _target_: tests.models.test_networks.three_layers\n  norm: ${norm}\n"
        "loss: ${loss}\n"
    )
    config = plain(compose([f"hydra.searchpath=[file://{tmp_path}]", "model=mine", "norm=layer"]))
    module = build_module(config)
    assert module(torch.rand(2, 3, 40, 33)).shape == (2, 1, 40, 33)
    assert norms_of(module.net) == {"OneGroupNorm"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_compiles(name: str) -> None:
    theirs = name in ("unet_resnet34", "unet_mobilenet")  # a kernel a layer of torchvision's
    net = network(name, **({} if theirs else {"depth": 2})).eval()
    image = torch.rand(1, 4, 64, 64)
    expected = net(image)
    net.compile(fullgraph=True, backend="aot_eager" if theirs else "inductor")
    torch.testing.assert_close(net(image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_to_find_a_square(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.randn(2, 4, 64, 64, generator=rng) / 4
    mask = torch.zeros(2, 1, 64, 64)
    for k in range(2):
        mask[k, :, 20 * k : 20 * k + 16, 20:36] = 1
    image += 2 * mask
    net = network(name)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(net(image), mask)
        loss.backward()
        optimizer.step()
    assert loss < 0.25
