"""Our numbers beside those of other packages, on random and on corner inputs."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage, stats
from sklearn import metrics as sklearn
from torchmetrics.functional import classification as torchmetrics

from brainseg import losses
from brainseg.evaluate import calibration
from brainseg.evaluate.average_precision import average_precision
from brainseg.evaluate.lesions import lesions
from brainseg.evaluate.surface import of_volume
from brainseg.metrics import SCORES, count
from brainseg.report.paired import effect_size, signed_rank
from brainseg.statistics import draws

Masks = NDArray[np.bool_]
SHAPE = (5, 18, 20)
SPACING = (4.0, 0.5, 0.8)


def blob(seed: int, shift: int = 0) -> Masks:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), (1, 2, 2))
    found: Masks = np.roll(smooth > 0.12, shift, axis=2)
    return found


EMPTY, FULL = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
VOXEL = EMPTY.copy()
VOXEL[2, 9, 9] = True
PAIRS = {
    "random": (blob(0), blob(1)),
    "shifted": (blob(2), blob(2, 3)),
    "same": (blob(3), blob(3)),
    "empty prediction": (EMPTY, blob(4)),
    "empty truth": (blob(4), EMPTY),
    "both empty": (EMPTY, EMPTY),
    "both full": (FULL, FULL),
    "one voxel": (VOXEL, blob(5)),
    "one voxel missed": (EMPTY, VOXEL),
}
OURS_IS = {"dice": "f1_score", "iou": "jaccard_score", "precision": "precision_score"}
OURS_IS |= {"recall": "recall_score", "accuracy": "accuracy_score"}
by_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


@by_pair
@pytest.mark.parametrize("name", SCORES)
def test_scores_are_scikit_learns(pair: tuple[Masks, Masks], name: str) -> None:
    preds, target = (torch.from_numpy(mask)[None, None].flatten(2, 3) for mask in pair)
    found = float(SCORES[name](count(preds, target)))
    nothing = {"zero_division": 1.0 if not pair[0].any() and not pair[1].any() else 0.0}
    options = {} if name == "accuracy" else nothing
    other = getattr(sklearn, OURS_IS[name])(pair[1].ravel(), pair[0].ravel(), **options)
    assert found == pytest.approx(float(other), abs=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["random", "shifted", "same", "both full", "one voxel"])
@pytest.mark.parametrize("tolerance", [0.0, 0.5, 1.6, 4.0])
def test_borders_are_monais_at_unequal_spacing(name: str, tolerance: float) -> None:
    monai = pytest.importorskip("monai.metrics")
    p, t = (torch.from_numpy(mask)[None, None].float() for mask in PAIRS[name])
    options = {"include_background": True, "spacing": list(SPACING)}
    hd95 = monai.compute_hausdorff_distance(p, t, percentile=95, **options)
    dice = monai.compute_surface_dice(p, t, [tolerance + 1e-6], **options)
    found = of_volume(*PAIRS[name], range(1, 6), SPACING, tolerance=tolerance)
    assert found == pytest.approx((float(hd95), float(dice)), abs=1e-5)


@by_pair
def test_lesions_are_scipys_components(pair: tuple[Masks, Masks]) -> None:
    found = lesions(*pair, list(range(1, 6)))
    (predicted, n), (true, m) = (ndimage.label(mask, np.ones((3, 3, 3))) for mask in pair)
    assert (found.predicted, found.true) == (n, m)
    assert found.found == len(np.unique(true[pair[0] & pair[1]]))
    assert found.false == n - len(np.unique(predicted[pair[0] & pair[1]]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scale", [1.0, 30.0, 90.0], ids=["usual", "saturated", "far beyond"])
@by_pair
def test_losses_are_those_of_monai_and_torch(pair: tuple[Masks, Masks], scale: float) -> None:
    monai = pytest.importorskip("monai.losses")
    logits, mask = (torch.from_numpy(each)[:, None].float() for each in pair)
    logits = (logits * 2 - 1) * scale + torch.linspace(-1, 1, SHAPE[2])
    settings = {"sigmoid": True, "smooth_nr": 1, "smooth_dr": 1, "batch": True}
    expected = {
        "bce_loss": torch.nn.functional.binary_cross_entropy_with_logits(logits, mask),
        "dice_loss": monai.DiceLoss(**settings)(logits, mask),
        "tversky_loss": monai.TverskyLoss(alpha=0.3, beta=0.7, **settings)(logits, mask),
    }
    for name, other in expected.items():
        assert getattr(losses, name)(logits, mask).item() == pytest.approx(other.item(), abs=2e-6)


@pytest.mark.parametrize("sure", [0.5, 3.0, 40.0], ids=["hardly trained", "usual", "saturated"])
def test_calibration_is_torchmetrics_and_scikit_learns(sure: float) -> None:
    rng = np.random.default_rng(0)
    target = rng.random((4, 30, 30)) < 0.2
    logits = torch.from_numpy(rng.normal(sure * (2 * target - 1), sure)).float()
    probs = logits.sigmoid().numpy()
    found = calibration.histogram(probs, target)
    truth = torch.from_numpy(target.ravel()).int()
    error = torchmetrics.binary_calibration_error(logits.sigmoid().ravel(), truth, n_bins=20)
    assert calibration.calibration_error(found).value == pytest.approx(float(error), abs=1e-6)
    brier = sklearn.brier_score_loss(target.ravel(), probs.ravel().astype(np.float64))
    assert calibration.brier(found).value == pytest.approx(brier, abs=1e-9)
    area = sklearn.average_precision_score(target.ravel(), probs.ravel())
    assert average_precision(found.ranks).value == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize("patients", [4, 13, 60])
def test_paired_tests_are_scipys(patients: int) -> None:
    differences = np.random.default_rng(patients).normal(0.05, 0.1, patients)
    expected = stats.wilcoxon(differences, method="auto").pvalue
    assert signed_rank(differences) == pytest.approx(float(expected))
    t = stats.ttest_1samp(differences, 0.0).statistic  # d = t / sqrt(n)
    assert effect_size(differences) == pytest.approx(float(t) / patients**0.5)


def test_the_bootstraps_spread_is_the_standard_error_that_scipys_misses_by_one_in_n() -> None:
    values = np.random.default_rng(3).normal(0.7, 0.2, 9)
    ours = draws(values[None], count=20_000).std()
    assert ours == pytest.approx(float(stats.sem(values)), rel=0.03)
    scipys = stats.bootstrap((values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(0))
    assert ours == pytest.approx(scipys.standard_error * (9 / 8) ** 0.5, rel=0.03)
