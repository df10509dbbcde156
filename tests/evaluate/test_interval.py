import numpy as np
import pytest
from scipy import stats

from brainseg.evaluate.interval import Estimand, mean, median, ratio


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(1).beta(5, 2, 20)


def test_the_interval_of_a_mean_is_scipys(values: np.ndarray) -> None:
    found = mean(values).estimate()
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=199, batch=500, rng=np.random.default_rng(0)
    )
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval))
    assert found.value == pytest.approx(values.mean())
    assert found.patients == 20


def test_the_interval_of_a_ratio_is_scipys_for_paired_samples(values: np.ndarray) -> None:
    wholes = np.random.default_rng(2).integers(1, 9, 20).astype(float)

    def of(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(a.sum(axis) / b.sum(axis))

    found = ratio(values, wholes).estimate()
    expected = stats.bootstrap(
        (values, wholes),
        of,
        paired=True,
        vectorized=True,
        n_resamples=199,
        batch=500,
        rng=np.random.default_rng(0),
    )
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval))


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


def test_percentiles_stand_in_with_a_word_where_bca_is_undefined() -> None:
    def distinct(index: np.ndarray) -> np.ndarray:  # every resample has fewer than all
        return np.apply_along_axis(lambda drawn: len(set(drawn)), -1, index).astype(float)

    found = Estimand(distinct, 20).estimate()
    assert found.note == "percentile interval: BCa is undefined here"
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.high < found.value == 20


def test_the_median_has_a_percentile_interval(values: np.ndarray) -> None:
    found = median(values).estimate()
    expected = stats.bootstrap(
        (values,),
        np.median,
        n_resamples=199,
        batch=500,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval))
    assert found.value == pytest.approx(np.median(values))
