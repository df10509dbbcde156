import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from brainseg.evaluate.surface import of_slices, of_volume

Masks = NDArray[np.bool_]


@pytest.fixture(scope="module")
def monai() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own imports
        return pytest.importorskip("monai.metrics")


def blobs(seed: int, shape: tuple[int, ...]) -> Masks:
    """A few random boxes, some of which touch the border of the image."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for _ in range(3):
        start = [int(rng.integers(0, n - 1)) for n in shape]
        mask[tuple(slice(a, a + int(rng.integers(1, 9))) for a in start)] = True
    return mask


def outside(
    monai: Any, preds: Masks, target: Masks, tolerance: float, spacing: list[float] | None = None
) -> tuple[float, float]:
    p, t = (torch.from_numpy(mask)[None, None].float() for mask in (preds, target))
    hd95 = monai.compute_hausdorff_distance(
        p, t, include_background=True, percentile=95, spacing=spacing
    )
    dice = monai.compute_surface_dice(p, t, [tolerance], include_background=True, spacing=spacing)
    return float(hd95), float(dice)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("seed", range(8))
def test_slices_score_as_in_monai(monai: Any, seed: int) -> None:
    preds, target = blobs(seed, (24, 20)), blobs(seed + 100, (24, 20))
    found = of_slices(preds[None], target[None], tolerance=2)
    assert tuple(found[0]) == pytest.approx(outside(monai, preds, target, 2), abs=1e-5)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("seed", range(4))
def test_volumes_score_as_in_monai_with_unequal_spacing(monai: Any, seed: int) -> None:
    preds, target = blobs(seed, (6, 16, 18)), blobs(seed + 50, (6, 16, 18))
    spacing = (5.0, 1.0, 0.5)
    found = of_volume(preds, target, range(1, 7), spacing, tolerance=3)
    assert found == pytest.approx(outside(monai, preds, target, 3, list(spacing)), abs=1e-5)


def test_two_pixels_are_as_far_apart_as_they_are() -> None:
    preds, target = np.zeros((2, 1, 9, 9), bool)
    preds[0, 2, 2] = target[0, 5, 6] = True
    assert tuple(of_slices(preds, target, tolerance=4.9)[0]) == (5, 0)
    assert tuple(of_slices(preds, target, tolerance=5)[0]) == (5, 1)


def test_the_same_masks_have_no_distance() -> None:
    mask = blobs(3, (2, 12, 12))
    np.testing.assert_array_equal(of_slices(mask, mask, tolerance=0), [[0, 1], [0, 1]])


def test_an_empty_prediction_scores_the_diagonal_of_the_image() -> None:
    target = np.zeros((2, 30, 40), bool)
    target[:, 3, 3] = True
    empty = np.zeros_like(target)
    np.testing.assert_array_equal(of_slices(empty, target, tolerance=2), [[50, 0], [50, 0]])
    np.testing.assert_array_equal(of_slices(target, empty, tolerance=2), [[50, 0], [50, 0]])
    # 2 slices of 15 mm, 30 rows of 1 mm and 40 columns of 1 mm
    assert of_volume(empty, target, [4, 5], (15, 1, 1), tolerance=2) == pytest.approx(
        (np.sqrt(30**2 + 30**2 + 40**2), 0)
    )


def test_where_both_are_empty_there_is_no_score() -> None:
    empty = np.zeros((1, 8, 8), bool)
    assert np.isnan(of_slices(empty, empty, tolerance=2)).all()
    assert np.isnan(of_volume(empty, empty, [1], (1, 1, 1), tolerance=2)).all()


def test_a_missing_slice_keeps_the_others_where_they_are() -> None:
    preds, target = np.zeros((2, 2, 5, 5), bool)
    preds[0, 2, 2] = target[1, 2, 2] = True
    near = of_volume(preds, target, [1, 2], (5, 1, 1), tolerance=1)
    far = of_volume(preds, target, [1, 4], (5, 1, 1), tolerance=1)
    assert (near[0], far[0]) == (5, 15)


def bars(start: int) -> tuple[Masks, Masks]:
    """Two bars five columns apart: 2.0 mm at a spacing of 0.4 mm."""
    preds, target = np.zeros((2, 1, 12, 60), bool)
    preds[0, 3:9, start] = target[0, 3:9, start + 5] = True
    return preds, target


@pytest.mark.parametrize("spacing", [0.4, float(np.float32(0.4)), 0.1 + 0.3])
def test_a_distance_of_just_the_tolerance_is_within_it_wherever_the_masks_lie(
    spacing: float,
) -> None:
    found = [
        of_volume(*bars(start), [1], (5, spacing, spacing), tolerance=2) for start in range(50)
    ]
    assert {dice for _, dice in found} == {1}
    assert len({hd95 for hd95, _ in found}) == 1
    assert found[0][0] == pytest.approx(2)
    assert of_volume(*bars(7), [1], (5, 0.4, 0.4), tolerance=1.999)[1] == 0


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("by", [(0, 0, 0), (0, 3, 11), (1, 7, 2)])
def test_shifted_masks_score_the_same_bits_and_as_in_monai(
    monai: Any, by: tuple[int, int, int]
) -> None:
    spacing = (3.3, 0.4, 0.7)
    whole = np.zeros((2, 9, 30, 34), bool)
    whole[0, 1:6, 2:16, 2:16], whole[1, 1:6, 2:16, 2:16] = (
        blobs(5, (5, 14, 14)),
        blobs(6, (5, 14, 14)),
    )
    shifted = np.roll(whole, by, (1, 2, 3))
    for tolerance in (0.4, 2.0, 3.3):
        first = of_volume(*whole, range(1, 10), spacing, tolerance=tolerance)
        assert of_volume(*shifted, range(1, 10), spacing, tolerance=tolerance) == first
        expected = outside(monai, *whole, tolerance + 1e-6, list(spacing))
        assert first == pytest.approx(expected, abs=1e-5)
