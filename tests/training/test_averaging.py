import math
from types import SimpleNamespace

import lightning as L
import pytest
import torch

from brainseg.training.averaging import Averaging


def averaged(decay: float, values: list[float]) -> float:
    """The average of a lone weight that takes these values, the first before training."""
    module = L.LightningModule()
    module.net = torch.nn.BatchNorm1d(1)
    averaging = Averaging(decay)
    trainer = SimpleNamespace(global_step=0)
    with torch.no_grad():
        module.net.weight.fill_(values[0])
        averaging.setup(trainer, module, "fit")  # type: ignore[arg-type]
        for step, value in enumerate(values[1:], 1):
            module.net.weight.fill_(value)
            module.net.num_batches_tracked.fill_(step)
            trainer.global_step = step
            for _ in range(2):  # accumulated gradients end more batches than steps
                averaging.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    assert averaging._average_model is not None
    net = averaging._average_model.module.net
    assert net.num_batches_tracked == len(values) - 1
    return float(net.weight.detach())


def test_the_first_steps_forget_the_initial_weights() -> None:
    assert averaged(0.995, [0.0, 1.0]) == pytest.approx(0.9)  # keeps 1 / 10
    assert averaged(0.995, [0.0, 1.0, 1.0]) == pytest.approx(1 - 0.1 * 2 / 11)


def test_no_step_keeps_more_than_the_decay() -> None:
    kept = math.prod(min(0.5, n / (n + 9)) for n in range(1, 21))
    assert averaged(0.5, [1.0] + [0.0] * 20) == pytest.approx(kept)


@pytest.mark.parametrize("decay", [-0.1, 1.0, math.nan])
def test_a_decay_that_is_no_share_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"callbacks.average.decay=.* set it to 0.995"):
        Averaging(decay)
