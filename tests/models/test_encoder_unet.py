import re
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from brainseg.config import compose
from brainseg.models.encoder_unet import ENCODERS, EncoderUNet
from brainseg.runs.checkpoint import save_checkpoint
from brainseg.training.build import build_module, load_module
from tests.conftest import plain

WEIGHTS = torchvision.models.ResNet18_Weights


def small(encoder: str = "resnet18", norm: str = "batch", **kwargs: Any) -> EncoderUNet:
    return EncoderUNet(**{"in_channels": 3, "width": 16} | kwargs, norm=norm, encoder=encoder)  # type: ignore[arg-type]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Weights that stand for torchvision's, which no test downloads."""
    torch.manual_seed(7)
    state = torchvision.models.resnet18().state_dict()
    state["bn1.weight"] += 1
    monkeypatch.setattr(WEIGHTS, "get_state_dict", lambda self, **_: state)
    return state


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_the_stages_halve_the_image_and_have_the_channels_that_are_listed(encoder: str) -> None:
    net, x = small(encoder).eval(), torch.rand(1, 3, 64, 64)
    for number, (stage, channels) in enumerate(
        zip(net.encoder, ENCODERS[encoder].channels, strict=True), 1
    ):
        x = stage(x)
        assert x.shape == (1, channels, 64 // 2**number, 64 // 2**number)
    assert net(torch.rand(1, 3, 40, 64)).shape == (1, 1, 40, 64)


def test_an_encoder_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="encoder=vgg is unknown; the choices are resnet18"):
        small("vgg")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_first_convolution_of_pretrained_weights_keeps_its_sum(
    channels: int, own: dict[str, torch.Tensor]
) -> None:
    net = small(pretrained=True, in_channels=channels)
    first = net.encoder[0][0].weight
    torch.testing.assert_close(first.sum(1), own["conv1.weight"].sum(1))
    if channels == 3:
        assert torch.equal(first, own["conv1.weight"])


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_pretrained_norms_are_taken_for_batch_norm_alone_and_it_is_said(
    norm: str, own: dict[str, torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    net = small(norm=norm, pretrained=True)
    assert torch.equal(net.encoder[2][0].conv1.weight, own["layer2.0.conv1.weight"])
    taken = torch.equal(net.encoder[0][1].weight, own["bn1.weight"])
    assert taken == (norm == "batch")
    assert ("convolutions alone" in caplog.text) == (norm != "batch")


def test_without_a_network_pretrained_weights_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no route")

    monkeypatch.setattr(WEIGHTS, "get_state_dict", offline)
    expected = re.escape("model.net.pretrained=true; ResNet18_Weights.IMAGENET1K_V1 could not be")
    with pytest.raises(ValueError, match=f"^{expected}.*set it to false"):
        small(pretrained=True)


def test_a_trained_run_is_loaded_without_asking_for_them_again(
    own: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    words = ["model=unet_resnet34", "model.net.encoder=resnet18", "model.net.pretrained=true"]
    config = plain(compose(words))
    module = build_module(config)
    state = {"state_dict": module.state_dict(), "config": config}
    save_checkpoint(state, tmp_path / "best.ckpt")
    monkeypatch.setattr(WEIGHTS, "get_state_dict", None)
    loaded = load_module(tmp_path / "best.ckpt")
    assert isinstance(loaded.net, nn.Module)
    assert torch.equal(loaded.net.head.weight, module.net.head.weight)  # type: ignore[union-attr]
