import numpy as np
import pytest

from brainseg.report.cells import Result
from brainseg.report.configurations import pool
from brainseg.report.effects import effect
from tests.report.synthetic import Truth, result, sweep


def test_levels_are_compared_only_where_all_else_is_equal() -> None:
    def cell(norm: str, loss: str, dice: float) -> Result:
        test = dice + np.arange(8) / 80
        return result({"norm": norm, "loss": loss}, {"val": [dice], "test": test})

    made = [cell("a", "x", 0.5), cell("b", "x", 0.6), cell("b", "y", 0.1)]
    found = effect("norm", pool(made))
    assert found.pairs[0].first == "norm=b"  # first in the order of val
    assert found.pairs[0].difference.mean == pytest.approx(0.1)  # of loss x alone
    assert found.means["b"].mean == pytest.approx(0.6 + np.arange(8).mean() / 80)


def test_levels_without_a_common_setting_are_not_compared() -> None:
    dice = {"val": [0.5], "test": np.arange(8) / 10}
    made = [result({"norm": "a", "loss": "x"}, dice), result({"norm": "b", "loss": "y"}, dice)]
    found = effect("norm", pool(made))
    assert found.pairs == []
    assert found.means == {}


def test_a_marginal_effect_is_the_mean_over_the_other_factor() -> None:
    truth = Truth(
        lambda each: 0.1 * (each["norm"] == "b") - 0.2 * (each["loss"] == "y"),
        patient=0.05,
        noise=0.0,
    )
    made = sweep({"norm": ["a", "b"], "loss": ["x", "y"], "seed": [0, 1]}, truth)
    found = effect("norm", pool(made))
    assert found.pairs[0].first == "norm=b"
    assert found.pairs[0].difference.mean == pytest.approx(0.1)
    assert {level: len(seeds) for level, seeds in found.seeds.items()} == {"a": 2, "b": 2}
