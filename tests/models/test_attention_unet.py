import torch

from brainseg.models.attention_unet import AttentionUNet, Gate
from brainseg.models.resunet import Residual
from brainseg.models.unet import UNet


def test_a_gate_weighs_each_pixel_of_a_skip_by_one_number() -> None:
    torch.manual_seed(0)
    gate, skip, signal = Gate(4, 8), torch.rand(2, 4, 8, 8) + 1, torch.randn(2, 8, 4, 4)
    weight = gate(skip, signal) / skip
    torch.testing.assert_close(weight, weight[:, :1].expand_as(weight))
    assert (weight > 0).all()
    assert (weight < 1).all()


def test_with_open_gates_it_is_the_unet() -> None:
    torch.manual_seed(0)
    net = AttentionUNet(3, norm="batch", width=4, depth=2).eval()
    torch.manual_seed(0)
    plain = UNet(3, norm="batch", width=4, depth=2).eval()
    image = torch.rand(1, 3, 20, 24)
    assert not torch.equal(net(image), plain(image))
    with torch.no_grad():
        for gate in net.gates:
            gate.score.weight.zero_()
            gate.score.bias.fill_(100)
    torch.testing.assert_close(net(image), plain(image))


def test_a_residual_block_adds_its_input() -> None:
    block = Residual(4, 4, torch.nn.BatchNorm2d)
    with torch.no_grad():
        block.block[-1].weight.zero_()
        block.block[-1].bias.zero_()
    image = torch.rand(1, 4, 6, 6)
    torch.testing.assert_close(block(image), block.shortcut(image))
    assert Residual(4, 8, torch.nn.BatchNorm2d, stride=2)(image).shape == (1, 8, 3, 3)
