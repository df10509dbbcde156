import math

import pytest
import torch

from brainseg import schedules


def rates(name: str, epochs: int, steps: int, lr: float = 0.1, **options: float) -> list[float]:
    """The learning rate of every epoch (or step), as Lightning would step the schedule."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    config = getattr(schedules, name)(optimizer, epochs=epochs, steps=steps, **options)
    count = epochs * (steps if config["interval"] == "step" else 1)
    seen = []
    for _ in range(count):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        config["scheduler"].step()
    return seen


def test_constant_never_moves() -> None:
    assert rates("constant", epochs=4, steps=3) == [0.1] * 4


def test_cosine_is_half_a_cosine_over_the_epochs() -> None:
    expected = [0.1 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert rates("cosine", epochs=4, steps=3) == pytest.approx(expected)


def test_cosine_ends_at_its_share_of_the_rate() -> None:
    assert min(rates("cosine", epochs=50, steps=1, final=0.5)) >= 0.05


def test_onecycle_peaks_at_the_rate_after_its_warmup() -> None:
    seen = rates("onecycle", epochs=10, steps=10, warmup=0.3)
    assert max(seen) == pytest.approx(0.1)
    assert abs(seen.index(max(seen)) - 30) <= 1
    assert seen[-1] < 1e-4


def test_plateau_reduces_after_patience_epochs_without_a_better_score() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    config = schedules.plateau(optimizer, epochs=9, steps=1, factor=0.5, patience=2)
    seen = []
    for dice in (0.5, 0.6, 0.6, 0.6, 0.6, 0.7):
        config["scheduler"].step(dice)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.05, 0.05])


def test_stable_decay_falls_in_its_share_of_the_epochs_whole_ones() -> None:
    seen = rates("stable_decay", epochs=10, steps=4, warmup=0, decay=0.25)
    assert seen[: 7 * 4 + 1] == [0.1] * 29
    expected = [0.1 * (1 - math.sqrt(step / 12)) for step in range(12)]
    assert seen[28:] == pytest.approx(expected)


@pytest.mark.parametrize(("epochs", "stable"), [(1, 0), (2, 1), (3, 2), (10, 7), (50, 35)])
def test_a_training_of_any_length_decays(epochs: int, stable: int) -> None:
    seen = rates("stable_decay", epochs=epochs, steps=5, warmup=0)
    assert [rate < 0.1 for rate in seen].index(True) == stable * 5 + 1
    assert seen[-1] < 0.03


def test_stable_decay_rises_step_by_step_for_its_epochs_however_many_follow() -> None:
    first, longer = (rates("stable_decay", epochs=n, steps=4, warmup=1.5) for n in (8, 12))
    assert first[:6] == pytest.approx([0.1 * (step + 1) / 7 for step in range(6)])
    assert first[6:20] == [0.1] * 14
    assert first[:20] == longer[:20]
