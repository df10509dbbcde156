"""Values of any range as bytes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from brainseg.data.grey import to_bytes

RAMP: NDArray[np.float64] = np.linspace(0, 1, 4096).reshape(1, 64, 64)


@pytest.mark.parametrize(
    "values",
    [
        RAMP + 1e9,  # float32 would know 1 or 2 of them
        np.rint(RAMP * 4095).astype(np.int32) + 10**9,
        RAMP.astype(np.float32) * 1e25,
        np.rint(RAMP * 4095).astype(">i2"),
    ],
)
def test_an_offset_or_a_unit_costs_no_grey_value(values: NDArray[np.generic]) -> None:
    expected = to_bytes(RAMP, "ramp").bytes.astype(int)
    assert len(np.unique(expected)) == 256
    assert abs(to_bytes(values, "ramp").bytes.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("unit", [1e-33, 1e300])
def test_a_range_that_cannot_be_scaled_is_refused(unit: float) -> None:
    with pytest.raises(ValueError, match=r"ramp has values from 0 to .*; give it in other units"):
        to_bytes(RAMP * unit, "ramp")


@pytest.mark.parametrize("values", [RAMP.astype(complex), RAMP.astype("datetime64[s]"), RAMP[:0]])
def test_what_is_no_number_is_refused(values: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match=r"ramp has \d+ values of .*; give real numbers"):
        to_bytes(values, "ramp")


@pytest.mark.parametrize("kind", ["<i2", ">i2", "<u2", ">u2"])
@pytest.mark.parametrize("least", [0, -1000, -(2**15)])
@pytest.mark.parametrize("window", [None, (-160.0, 240.0)])
def test_integers_of_16_bits_become_the_bytes_of_their_numbers(
    kind: str, least: int, window: tuple[float, float] | None
) -> None:
    least += 2**15 if kind.endswith("u2") else 0
    rng = np.random.default_rng(0)
    values = rng.integers(least, least + 5000, (9, 33, 17)).astype(kind).transpose(2, 0, 1)
    for each in (values, np.asfortranarray(values), np.ascontiguousarray(values), values[::-1]):
        found = to_bytes(each, "scan", window)
        scaled = (each.astype(np.float32).clip(found.low, found.high) - np.float32(found.low)) * (
            np.float32(255 / (found.high - found.low))
        )
        np.testing.assert_array_equal(found.bytes, np.rint(scaled))
