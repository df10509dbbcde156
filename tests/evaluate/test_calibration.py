import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.functional import classification as reference

from brainseg.evaluate import calibration
from brainseg.evaluate.average_precision import average_precision
from brainseg.evaluate.calibration import Histogram, histogram, together

Patients = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def patients() -> Patients:
    """Probabilities and truth of three patients [D, H, W]; the probabilities are too sure."""
    rng = np.random.default_rng(0)
    each = []
    for slices in (3, 5, 4):
        probs = rng.beta(0.4, 0.8, (slices, 16, 16)).astype(np.float32)
        each.append((probs, rng.random(probs.shape) < 0.7 * probs))
    return each


@pytest.fixture
def pooled(patients: Patients) -> Histogram:
    return together([histogram(*each) for each in patients])


@pytest.fixture
def tensors(patients: Patients) -> tuple[torch.Tensor, torch.Tensor]:
    probs, target = (np.concatenate([each[k].ravel() for each in patients]) for k in (0, 1))
    return torch.from_numpy(probs), torch.from_numpy(target).int()


def test_calibration_error_is_torchmetrics(
    pooled: Histogram, tensors: tuple[torch.Tensor, torch.Tensor]
) -> None:
    expected = reference.binary_calibration_error(*tensors, n_bins=20, norm="l1")
    assert calibration.calibration_error(pooled).value == pytest.approx(float(expected), abs=1e-6)


def test_brier_score_is_the_mean_squared_error(
    pooled: Histogram, tensors: tuple[torch.Tensor, torch.Tensor]
) -> None:
    probs, target = (each.double() for each in tensors)
    expected = torch.nn.functional.mse_loss(probs, target)
    assert calibration.brier(pooled).value == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("centre", "spread"),
    [(0.0, 2.0), (-5.5, 0.6), (0.2, 1e-3), (0.0, 40.0), (25.0, 6.0), (-40.0, 8.0)],
    ids=["usual", "in one hundredth", "hardly trained", "saturated", "near 1", "near 0"],
)
def test_average_precision_is_scikit_learns(centre: float, spread: float) -> None:
    rng = np.random.default_rng(1)
    target = rng.random((3, 8, 40, 40)) < 0.04
    logits = rng.normal(np.where(target, centre + spread, centre), spread).astype(np.float32)
    probs = torch.from_numpy(logits).sigmoid().numpy()
    pooled = together([histogram(p, t) for p, t in zip(probs, target, strict=True)])
    expected = average_precision_score(target.ravel(), probs.ravel())
    assert average_precision(pooled.ranks).value == pytest.approx(expected, abs=1e-9)


def test_a_resample_of_many_pixels_is_scored_nearly_as_the_pixels_are() -> None:
    rng = np.random.default_rng(2)
    target = rng.random((2, 8, 250, 250)) < 0.05
    probs = rng.beta(np.where(target, 3.0, 1.0), 4).astype(np.float32)
    pooled = together([histogram(p, t) for p, t in zip(probs, target, strict=True)])
    found = average_precision(pooled.ranks)
    assert found.value == pytest.approx(
        average_precision_score(target.ravel(), probs.ravel()), abs=1e-5
    )
    assert found.statistic(np.arange(2)) == pytest.approx(found.value, abs=1 / 4096)


def test_without_any_tumour_there_is_no_average_precision() -> None:
    found = histogram(np.full((1, 4, 4), 0.3, np.float32), np.zeros((1, 4, 4), bool))
    assert np.isnan(average_precision(found.ranks).value)


def test_dice_at_every_threshold_is_that_of_the_pixels_above_it(
    pooled: Histogram, patients: Patients
) -> None:
    found = calibration.dice_by_threshold(pooled)
    for k in (0, 20, calibration.HALF, 180, len(calibration.THRESHOLDS) - 1):
        for patient, (probs, target) in enumerate(patients):
            preds = probs > calibration.THRESHOLDS[k]
            expected = 2 * (preds & target).sum() / (preds.sum() + target.sum())
            assert found[patient, k] == pytest.approx(expected, abs=1e-6)


def test_the_best_threshold_is_the_best_of_all_tried(pooled: Histogram, patients: Patients) -> None:
    def mean_dice(threshold: float) -> float:
        preds = [(probs > threshold, target) for probs, target in patients]
        return float(np.mean([2 * (p & t).sum() / (p.sum() + t.sum()) for p, t in preds]))

    best = calibration.THRESHOLDS[calibration.best_threshold(pooled)]
    assert best in calibration.CANDIDATES
    assert mean_dice(best) == pytest.approx(max(map(mean_dice, calibration.CANDIDATES)))


def test_where_no_threshold_is_better_a_half_is_kept() -> None:
    sure = np.zeros((1, 4, 4), np.float32)
    sure[0, 0] = 1
    found = histogram(sure, sure > 0)
    assert calibration.THRESHOLDS[calibration.best_threshold(found)] == 0.5


def test_a_pixel_at_the_threshold_is_not_above_it() -> None:
    probs = np.array([[[0.5, np.nextafter(np.float32(0.5), np.float32(1))]]], np.float32)
    target = np.array([[[False, True]]])
    found = calibration.dice_by_threshold(histogram(probs, target))
    assert found[0, calibration.HALF] == 1


def test_nought_and_one_are_in_the_first_and_the_last_bin() -> None:
    ends = np.array([[[0.0, 1.0]]], np.float32)
    found = histogram(ends, ends > 0)
    assert (found.pixels[0, 0], found.pixels[0, -1], found.pixels.sum()) == (1, 1, 2)


def test_well_calibrated_bins_lie_on_the_line() -> None:
    probs = np.full((1, 10, 10), 0.3, np.float32)
    target = np.zeros((1, 10, 10), bool)
    target[0, :3] = True
    mean, share, pixels = calibration.reliability(histogram(probs, target))
    where = np.flatnonzero(pixels)
    assert where.tolist() in ([5], [6])  # 0.3 as a float32 lies just above 0.3
    assert mean[where] == pytest.approx(0.3)
    assert share[where] == pytest.approx(0.3)
    assert calibration.calibration_error(histogram(probs, target)).value == pytest.approx(
        0, abs=1e-6
    )


def test_bins_of_reliability_are_numpys_histogram(
    pooled: Histogram, tensors: tuple[torch.Tensor, torch.Tensor]
) -> None:
    expected, _ = np.histogram(tensors[0].numpy(), bins=20, range=(0, 1))
    np.testing.assert_array_equal(calibration.reliability(pooled)[2], expected)


def test_predicting_nothing_errs_by_the_share_of_tumour(patients: Patients) -> None:
    silent = together([histogram(np.zeros_like(p), t) for p, t in patients])
    share = calibration.prevalence(silent)
    assert calibration.brier(silent).value == pytest.approx(share)
    assert calibration.calibration_error(silent).value == pytest.approx(share)
    assert average_precision(silent.ranks).value == pytest.approx(share)


def test_resampled_scores_are_those_of_the_patients_drawn(patients: Patients) -> None:
    each = [histogram(*patient) for patient in patients]
    for score in (
        calibration.calibration_error,
        calibration.brier,
        lambda found: average_precision(found.ranks),
    ):
        drawn = score(together(each)).statistic(np.array([[2, 2, 0], [1, 1, 1]]))
        expected = [score(together([each[k] for k in ks])).value for ks in ((2, 2, 0), (1, 1, 1))]
        np.testing.assert_allclose(drawn, expected)
