import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from brainseg.losses import (
    bce_dice_loss,
    bce_loss,
    dice_loss,
    focal_loss,
    iou_loss,
    tversky_loss,
)

Loss = Callable[..., Tensor]
CONF = Path(__file__).parents[1] / "conf" / "loss"
LOSSES = {
    "bce": bce_loss,
    "bce_dice": bce_dice_loss,
    "dice": dice_loss,
    "focal": focal_loss,
    "iou": iou_loss,
    "tversky": tversky_loss,
}
OVERLAP = [dice_loss, iou_loss, tversky_loss, bce_dice_loss]

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
every_overlap_loss = pytest.mark.parametrize("loss", OVERLAP)


@pytest.fixture
def logits() -> Tensor:
    return 3 * torch.randn(4, 2, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask() -> Tensor:
    mask = (torch.rand(4, 2, 32, 32, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    mask[0] = 0
    return mask


def certain(preds: list[list[int]]) -> Tensor:
    return 200.0 * torch.tensor([[preds]]) - 100  # probabilities of 0 and 1 to the last bit


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (dice_loss, 1 - (2 * 1 + 1) / (3 + 1 + 1)),
        (iou_loss, 1 - (1 + 1) / (3 + 1)),
        (tversky_loss, 1 - (1 + 1) / (1 + 0.3 * 2 + 0.7 * 0 + 1)),
        (bce_loss, 100 * 2 / 4),
        (focal_loss, 0.75 * 100 * 2 / 4),
        (bce_dice_loss, 50 + 1 - 3 / 5),
    ],
)
def test_loss_of_one_hit_and_two_false_positives_is_the_number_by_hand(
    loss: Loss, expected: float
) -> None:
    logits = certain([[1, 1], [1, 0]])
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])

    assert loss(logits, mask).item() == pytest.approx(expected)


def test_tversky_weights_a_miss_by_beta() -> None:
    logits = certain([[1, 0], [0, 0]])
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])

    assert tversky_loss(logits, mask).item() == pytest.approx(1 - 2 / (1 + 0.7 + 1))


@pytest.mark.parametrize(("per_sample", "axes"), [(False, (0, 2, 3)), (True, (2, 3))])
def test_overlap_losses_match_numpy(
    logits: Tensor, mask: Tensor, per_sample: bool, axes: tuple[int, ...]
) -> None:
    p = 1 / (1 + np.exp(-logits.numpy().astype(np.float64)))
    m = mask.numpy()
    tp, fp, fn = (a.sum(axes) for a in (p * m, p * (1 - m), (1 - p) * m))

    for loss, expected in [
        (dice_loss, (2 * tp + 3) / (2 * tp + fp + fn + 3)),
        (iou_loss, (tp + 3) / (tp + fp + fn + 3)),
        (tversky_loss, (tp + 3) / (tp + 0.3 * fp + 0.7 * fn + 3)),
    ]:
        ours = loss(logits, mask, smooth=3.0, per_sample=per_sample)
        assert ours.item() == pytest.approx(1 - expected.mean())


@pytest.mark.filterwarnings("default")  # MONAI warns of its own imports
@pytest.mark.parametrize("per_sample", [False, True])
def test_overlap_losses_match_monai(logits: Tensor, mask: Tensor, per_sample: bool) -> None:
    monai = pytest.importorskip("monai.losses")
    settings = {"sigmoid": True, "smooth_nr": 1, "smooth_dr": 1, "batch": not per_sample}
    twice = {"smooth_nr": 2, "smooth_dr": 2}  # MONAI's Jaccard is (2 tp + s) / (2 union + s)

    for loss, other in [
        (dice_loss, monai.DiceLoss(**settings)),
        (iou_loss, monai.DiceLoss(jaccard=True, **(settings | twice))),
        (tversky_loss, monai.TverskyLoss(alpha=0.3, beta=0.7, **settings)),
    ]:
        ours = loss(logits, mask, per_sample=per_sample)
        assert ours.item() == pytest.approx(other(logits, mask).item()), loss


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.0), (0.25, 0.5)])
def test_focal_loss_matches_torchvision(
    logits: Tensor, mask: Tensor, alpha: float, gamma: float
) -> None:
    expected = sigmoid_focal_loss(logits, mask, alpha, gamma, reduction="mean")

    assert focal_loss(logits, mask, alpha=alpha, gamma=gamma).item() == pytest.approx(
        expected.item()
    )


def test_bce_matches_numpy(logits: Tensor, mask: Tensor) -> None:
    p = 1 / (1 + np.exp(-logits.numpy().astype(np.float64)))
    expected = -np.where(mask.numpy() == 1, np.log(p), np.log(1 - p)).mean()

    assert bce_loss(logits, mask).item() == pytest.approx(expected)


def test_special_cases_of_tversky_and_focal_are_dice_iou_and_bce(
    logits: Tensor, mask: Tensor
) -> None:
    as_dice = tversky_loss(logits, mask, alpha=0.5, beta=0.5, smooth=0.5)
    as_iou = tversky_loss(logits, mask, alpha=1, beta=1)
    as_half_bce = focal_loss(logits, mask, alpha=0.5, gamma=0)

    torch.testing.assert_close(as_dice, dice_loss(logits, mask, smooth=1.0))
    torch.testing.assert_close(as_iou, iou_loss(logits, mask))
    torch.testing.assert_close(as_half_bce, bce_loss(logits, mask) / 2)


@every_loss
def test_loss_is_the_mean_over_regions(loss: Loss, logits: Tensor, mask: Tensor) -> None:
    by_region = [loss(logits[:, [k]], mask[:, [k]]) for k in range(2)]

    torch.testing.assert_close(loss(logits, mask), torch.stack(by_region).mean())


@every_overlap_loss
def test_per_sample_is_the_mean_over_samples(loss: Loss, logits: Tensor, mask: Tensor) -> None:
    by_sample = [loss(logits[[b]], mask[[b]]) for b in range(4)]

    torch.testing.assert_close(loss(logits, mask, per_sample=True), torch.stack(by_sample).mean())


@every_overlap_loss
def test_the_batch_is_scored_as_one_image_by_default(
    loss: Loss, logits: Tensor, mask: Tensor
) -> None:
    as_one = (torch.cat(list(t), dim=-1)[None] for t in (logits, mask))

    torch.testing.assert_close(loss(logits, mask), loss(*as_one))


@every_loss
def test_false_positives_cost_on_empty_masks(loss: Loss) -> None:
    empty = torch.zeros(2, 1, 32, 32)
    logits = torch.full_like(empty, -20)
    costs = []
    for columns in (0, 4, 8, 16, 32):
        logits[..., :columns] = 20
        costs.append(loss(logits, empty).item())

    assert costs[0] == pytest.approx(0, abs=1e-5)
    assert costs == sorted(set(costs))


@every_loss
def test_right_costs_nothing_and_wrong_costs_most(loss: Loss, mask: Tensor) -> None:
    right = 40 * mask - 20

    assert loss(right, mask).item() == pytest.approx(0, abs=1e-4)
    assert loss(-right, mask) > 0.9


@every_loss
def test_gradient_raises_tumour_and_lowers_background(
    loss: Loss, logits: Tensor, mask: Tensor
) -> None:
    logits = (logits / 3).requires_grad_()
    loss(logits, mask).backward()

    assert (logits.grad[mask == 1] < 0).all()
    assert (logits.grad[mask == 0] > 0).all()


@every_loss
@pytest.mark.parametrize("fill", [0.0, 1.0, None], ids=["empty", "full", "both"])
@pytest.mark.parametrize("scale", [1.0, 60000.0], ids=["moderate", "extreme"])
def test_fp16_logits_at_512_px_give_finite_loss_and_gradients(
    loss: Loss, fill: float | None, scale: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 1, 512, 512, generator=generator) * 2 - 1
    logits = (scale * noise).half().requires_grad_()
    mask = torch.zeros_like(noise) if fill is None else torch.full_like(noise, fill)
    if fill is None:
        mask[0] = 1
    value = loss(logits, mask)
    value.backward()

    assert value.dtype == torch.float32
    assert value.isfinite()
    assert logits.grad.isfinite().all()


def test_dice_of_fp16_logits_at_512_px_does_not_overflow() -> None:
    mask = torch.ones(2, 1, 512, 512)
    logits = torch.zeros_like(mask).half()  # p = 1/2 everywhere: 2 * n / 2 / (n / 2 + n)

    assert dice_loss(logits, mask).item() == pytest.approx(1 / 3, abs=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradient_is_finite_where_the_network_is_certain(gamma: float) -> None:
    logits = torch.tensor([[[[-500.0, -90.0, 0.0, 90.0, 500.0]]]], requires_grad=True)
    for mask in (torch.zeros_like(logits), torch.ones_like(logits)):
        logits.grad = None
        focal_loss(logits, mask, gamma=gamma).backward()
        assert logits.grad.isfinite().all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_loss_is_float32_under_autocast(
    loss: Loss, logits: Tensor, mask: Tensor, dtype: torch.dtype
) -> None:
    logits = logits.to(dtype)
    with torch.autocast("cpu", dtype):
        value = loss(logits, mask)

    assert torch.equal(value, loss(logits.float(), mask))


@every_loss
def test_a_mask_without_its_channel_axis_is_refused(loss: Loss) -> None:
    message = "mask of shape (4, 8, 8); must be the logits' (4, 1, 8, 8)"
    with pytest.raises(ValueError, match=re.escape(message)):
        loss(torch.zeros(4, 1, 8, 8), torch.zeros(4, 8, 8))


@pytest.mark.parametrize(
    ("loss", "kwargs", "message"),
    [
        (dice_loss, {"smooth": 0}, "smooth=0 must be above 0; set loss.smooth, 1 is usual"),
        (iou_loss, {"smooth": -1}, "smooth=-1 must be above 0; set loss.smooth, 1 is usual"),
        (tversky_loss, {"alpha": -1}, "alpha=-1 must be 0 or more; set loss.alpha"),
        (tversky_loss, {"beta": -1}, "beta=-1 must be 0 or more; set loss.beta"),
        (focal_loss, {"alpha": 2}, "alpha=2 must be in [0, 1]; set loss.alpha"),
        (focal_loss, {"gamma": -1}, "gamma=-1 must be 0 or more; set loss.gamma"),
    ],
)
def test_parameters_out_of_range_are_refused_in_one_line(
    loss: Loss, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), **kwargs)


def test_every_loss_is_an_option() -> None:
    assert sorted(path.stem for path in CONF.glob("*.yaml")) == sorted(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_option_holds_every_parameter_at_its_default(
    name: str, logits: Tensor, mask: Tensor
) -> None:
    option = instantiate(OmegaConf.load(CONF / f"{name}.yaml"), _convert_="all")
    parameters = inspect.signature(LOSSES[name]).parameters.values()

    assert option.keywords == {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY}
    assert torch.equal(option(logits, mask), LOSSES[name](logits, mask))
