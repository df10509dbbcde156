import numpy as np
import pytest
from scipy import stats

from brainseg.evaluate.interval import Estimand, mean, median, ratio
from brainseg.statistics import ends, interval, resampled


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(1).beta(5, 2, 20)


def test_the_interval_of_a_mean_is_that_of_a_report(values: np.ndarray) -> None:
    found, expected = mean(values).estimate(), interval(values[None])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(values.mean())
    assert found.patients == 20


def test_a_ratio_draws_parts_and_wholes_together(values: np.ndarray) -> None:
    wholes = np.random.default_rng(2).integers(1, 9, 20).astype(float)
    found, low, high = (
        ratio(values * wholes, wholes).estimate(),
        *ends(resampled(lambda k: (values * wholes)[k].sum(-1) / wholes[k].sum(-1), 20)),
    )
    assert (found.low, found.high) == pytest.approx((low, high))
    scipys = stats.bootstrap(
        (values * wholes, wholes), lambda a, b: a.sum() / b.sum(), paired=True, vectorized=False,
        n_resamples=999, method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx(tuple(scipys), abs=0.03)


def test_nine_of_ten_intervals_or_more_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    intervals = [mean(rng.normal(0.7, 0.2, 30)).estimate() for _ in range(150)]
    held = np.mean([each.low <= 0.7 <= each.high for each in intervals])  # type: ignore[operator]
    assert 0.88 < held < 0.995


def test_the_same_data_give_the_same_interval(values: np.ndarray) -> None:
    assert mean(values).estimate() == mean(values.copy()).estimate()


def test_more_slices_of_the_same_patients_do_not_narrow_the_interval(values: np.ndarray) -> None:
    one, many = ratio(values, np.ones(20)), ratio(50 * values, 50 * np.ones(20))
    assert one.estimate().low == pytest.approx(many.estimate().low)
    assert one.estimate().high == pytest.approx(many.estimate().high)


def test_patients_without_the_score_are_left_out(values: np.ndarray) -> None:
    with_gaps = np.concatenate([values, [np.nan, np.nan]])
    assert mean(with_gaps).estimate() == mean(values).estimate()
    assert ratio(np.append(values, 5.0), np.append(np.ones(20), 0)).value == pytest.approx(
        values.mean()
    )


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ([], "no patient has this score"),
        ([0.5], "one patient: no interval"),
        ([0.5, 0.5, 0.5], "the same in every resample: no interval"),
    ],
)
def test_data_without_an_interval_say_why(data: list[float], note: str) -> None:
    found = mean(np.array(data)).estimate(nothing=0.0)
    assert (found.low, found.high, found.note) == (None, None, note)
    assert found.value == pytest.approx(0.5 if data else np.nan, nan_ok=True)
    assert found.nothing == (0.0 if data else None)


def test_a_score_that_is_undefined_in_a_resample_has_no_interval() -> None:
    def rare(index: np.ndarray) -> np.ndarray:  # nan where patient 0 is not drawn
        return np.where((index == 0).any(-1), 1.0, np.nan)

    found = Estimand(rare, 20).estimate()
    assert (found.low, found.high) == (None, None)
    assert found.note == "undefined in some resamples: no interval"


def test_the_median_has_an_interval_too(values: np.ndarray) -> None:
    found = median(values).estimate()
    assert found.value == pytest.approx(np.median(values))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
