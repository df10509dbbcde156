import pytest
import torch

from brainseg.losses import bce_loss
from brainseg.training.score import _bce


@pytest.mark.parametrize("scale", [0.1, 5.0, 200.0])
@pytest.mark.parametrize("tumour", [0.0, 0.3, 1.0])
def test_the_bce_of_scoring_is_that_of_training(scale: float, tumour: float) -> None:
    draws = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(4, 1, 16, 16, generator=draws)
    mask = (torch.rand(4, 1, 16, 16, generator=draws) < tumour).float()
    before = logits.clone()
    assert _bce(logits, mask).item() == pytest.approx(bce_loss(logits, mask).item(), rel=1e-5)
    assert torch.equal(logits, before)
