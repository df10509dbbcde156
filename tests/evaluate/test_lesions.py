import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from brainseg.evaluate.lesions import Lesions, lesions
from brainseg.evaluate.surface import with_gaps


def volume(*voxels: tuple[int, int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((4, 6, 6), bool)
    for voxel in voxels:
        mask[voxel] = True
    return mask


def test_lesions_are_found_missed_and_false_as_counted_by_hand() -> None:
    target = volume((0, 0, 0), (0, 0, 1), (3, 5, 5))  # two lesions
    preds = volume((0, 0, 1), (2, 0, 5), (0, 4, 0))  # one hit, two false
    assert lesions(preds, target, range(4)) == Lesions(true=2, found=1, predicted=3, false=2)


def test_voxels_that_share_a_corner_are_one_lesion() -> None:
    corner = volume((0, 0, 0), (1, 1, 1))
    assert lesions(corner, corner, range(4)).true == 1


def test_nothing_is_connected_across_a_missing_slice() -> None:
    column = volume((0, 2, 2), (1, 2, 2))
    assert lesions(column, column, [1, 2, 3, 4]).true == 1
    assert lesions(column, column, [1, 3, 4, 5]).true == 2


def test_one_prediction_can_find_two_lesions() -> None:
    target = volume((0, 0, 0), (0, 0, 4))
    preds = volume(*((0, 0, k) for k in range(5)))
    assert lesions(preds, target, range(4)) == Lesions(true=2, found=2, predicted=1, false=0)


@pytest.mark.parametrize("seed", range(3))
def test_lesions_of_one_slice_are_opencvs_components(seed: int) -> None:
    mask = np.random.default_rng(seed).random((1, 20, 20)) < 0.25
    expected = cv2.connectedComponents(mask[0].astype(np.uint8), connectivity=8)[0] - 1
    assert lesions(~mask, mask, [1]).true == expected
    assert lesions(~mask, mask, [1]).found == 0


def test_gaps_are_filled_with_empty_planes_that_have_a_number() -> None:
    planes, numbers = with_gaps(np.ones((3, 2, 2), bool), [1, 4, 5])
    assert numbers.tolist() == [1, 2, 4, 5]
    assert planes.any((1, 2)).tolist() == [True, False, True, True]
