from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from brainseg.report.cells import Result
from brainseg.report.configurations import pool
from brainseg.report.curves import curves, flat_from, flattening, stopped
from tests.report.synthetic import result


def cell(norm: str, seed: int, val: list[float]) -> Result:
    epochs = np.arange(1, len(val) + 1)
    made = result(
        {"norm": norm, "seed": seed, "epochs": len(val)},
        {"train": [0.9], "val": [max(val)], "test": [0.5, 0.7]},
    )
    return replace(made, history=pd.DataFrame({"epoch": epochs, "val/dice": val}))


def test_a_band_is_the_mean_and_the_range_over_seeds() -> None:
    made = [cell("a", 0, [0.1, 0.5]), cell("a", 1, [0.3, 0.7]), cell("b", 0, [0.0, 0.0])]
    band = curves(pool(made), "norm", "val/dice")["a"]
    assert band.mean == pytest.approx([0.2, 0.6])
    assert band.low == pytest.approx([0.1, 0.5])
    assert band.high == pytest.approx([0.3, 0.7])


def test_an_epoch_that_one_seed_did_not_reach_is_that_of_the_others() -> None:
    made = [cell("a", 0, [0.1, 0.5]), cell("a", 1, [0.3]), cell("b", 0, [0.0])]
    made = [replace(each, config=each.config | {"epochs": 2}) for each in made]  # stopped early
    assert curves(pool(made), "norm", "val/dice")["a"].mean == pytest.approx([0.2, 0.5])


def test_a_curve_is_flat_from_where_it_comes_near_its_best() -> None:
    assert flat_from([0.1, 0.695, 0.3, 0.7, 0.6]) == 2
    assert flat_from([0.1, 0.2, 0.3]) == 3
    assert flat_from([0.5]) == 1


def test_the_gap_is_train_less_test() -> None:
    (found,) = flattening(pool([cell("a", 0, [0.1, 0.7, 0.7])]))
    assert found.gap == pytest.approx(0.9 - 0.6)
    assert (found.epochs, found.flat) == (3, 2)


def test_where_more_epochs_stopped_helping_is_said() -> None:
    rising, flat = [n / 20 for n in range(10)], [0.7] * 10
    found = flattening(pool([cell("a", 0, rising), cell("b", 0, flat)]))
    assert stopped(found) == (
        "1 of 2 configurations came within 0.01 of their best val Dice before the last tenth of "
        "their epochs, at epoch 1 on average; 1 was still rising, so more epochs may help."
    )
