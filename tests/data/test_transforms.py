from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

from brainseg.config import CONF, compose, instantiate
from brainseg.data.transforms import augment, transform

SIDE = 64
NOTHING: dict[str, Any] = {
    "horizontal_flip": 0,
    "vertical_flip": 0,
    "affine": 1,
    "rotate": 0,
    "zoom": 0,
    "shift": 0,
}


def slice_with_bar() -> tuple[np.ndarray, np.ndarray]:
    """A grey image with a bright bar right of its centre, and the bar as its mask."""
    image = np.full((SIDE, SIDE, 3), 50, np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[28:36, 40:56] = 1
    image[mask > 0] = 200
    return image, mask


def masks(draws: int, **options: Any) -> list[np.ndarray]:
    compose = augment(**NOTHING | options)
    image, mask = slice_with_bar()
    return [transform(compose, image, mask, (0, 0, row))[1] for row in range(draws)]


def centre(mask: np.ndarray) -> np.ndarray:
    down, right = np.argwhere(mask).mean(axis=0)
    return np.array([down, right]) - (SIDE - 1) / 2  # of the image's centre


def test_flips_are_numpys_and_independent_of_each_other() -> None:
    image, mask = slice_with_bar()
    image = np.random.default_rng(0).integers(0, 255, image.shape, dtype=np.uint8)
    flips = augment(**NOTHING | {"horizontal_flip": 0.5, "vertical_flip": 0.5})
    expected = [image, image[:, ::-1], image[::-1], image[::-1, ::-1]]
    seen = [0, 0, 0, 0]
    for row in range(200):
        flipped, _ = transform(flips, image, mask, (0, 0, row))
        seen[next(k for k, each in enumerate(expected) if np.array_equal(flipped, each))] += 1
    assert min(seen) > 25


def test_rotation_goes_both_ways_up_to_its_limit() -> None:
    angles = [np.degrees(np.arctan2(*centre(mask))) for mask in masks(200, rotate=15)]
    assert -16 < min(angles) < -11
    assert 11 < max(angles) < 16
    assert abs(np.mean(angles)) < 2


def test_zoom_goes_both_ways_and_keeps_the_shape() -> None:
    drawn = masks(100, zoom=0.25)
    areas = [mask.sum() / slice_with_bar()[1].sum() for mask in drawn]
    assert 0.5 < min(areas) < 0.75
    assert 1.3 < max(areas) < 1.65
    for mask in drawn:
        height, width = np.ptp(np.argwhere(mask), axis=0) + 1
        assert width / height == pytest.approx(2, abs=0.4)


def test_shift_stays_within_its_share_of_the_side() -> None:
    shifts = np.array([centre(mask) for mask in masks(100, shift=0.1)]) - centre(
        slice_with_bar()[1]
    )
    assert np.abs(shifts).max() <= 0.1 * SIDE + 1
    assert shifts.min() < -4
    assert shifts.max() > 4
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.4


def test_mask_moves_with_the_image_and_keeps_its_values() -> None:
    image, mask = slice_with_bar()
    for row in range(50):
        moved, moved_mask = transform(augment(affine=1), image, mask, (0, 0, row))
        assert moved.dtype == moved_mask.dtype == np.uint8
        assert set(np.unique(moved_mask)) <= {0, 1}
        bright = moved[..., 0] > 125
        assert np.count_nonzero(bright != moved_mask) < 0.15 * mask.sum()


def test_border_is_black() -> None:
    image, mask = slice_with_bar()
    moved, _ = transform(augment(**NOTHING | {"rotate": 15}), image, mask, (0, 0, 3))
    assert (moved[[0, 0, -1, -1], [0, -1, 0, -1]] == 0).any()


def test_draws_depend_on_the_key_alone() -> None:
    image, mask = slice_with_bar()
    used, fresh = augment(affine=1), augment(affine=1)
    for row in range(5):
        transform(used, image, mask, (0, 0, row))
    again, _ = transform(used, image, mask, (0, 1, 2))
    assert np.array_equal(again, transform(fresh, image, mask, (0, 1, 2))[0])
    others = [transform(fresh, image, mask, key)[0] for key in ((1, 1, 2), (0, 2, 2), (0, 1, 3))]
    assert not any(np.array_equal(again, other) for other in others)


def test_misspelt_argument_is_an_error() -> None:
    with pytest.raises(TypeError, match="rotat"):
        instantiate({"_target_": "brainseg.data.transforms.augment", "rotat": 15})
    with pytest.raises(HydraException, match=r"augment\.rotat"):
        compose(["augment.rotat=15"])
    with pytest.raises(HydraException, match="augment/heavy"):
        compose(["augment=heavy"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"horizontal_flip": 1.5}, "horizontal_flip=1.5 must be a probability"),
        ({"affine": -0.1}, "affine=-0.1 must be a probability; set augment.affine"),
        ({"rotate": "abc"}, "rotate=abc must be a number"),
        ({"rotate": -15}, "rotate=-15 must be within 0 and 180 degrees"),
        ({"zoom": 1}, "zoom=1 must be within 0 and 1; set augment.zoom"),
        ({"shift": -0.1}, "shift=-0.1 must be within 0 and 1; set augment.shift"),
        ({"gain": 1.0}, "gain=1.0 must be within 0 and 1; set augment.gain"),
        ({"offset": -0.1}, "offset=-0.1 must not be negative; set augment.offset"),
        ({"sequence_dropout": 2}, "sequence_dropout=2 must be a probability"),
    ],
)
def test_values_out_of_range_are_refused(option: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augment(**option)


@pytest.mark.parametrize("option", sorted((CONF / "augment").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_option_but_none_changes_slices(option: Path) -> None:
    image, mask = slice_with_bar()
    steps = instantiate(OmegaConf.load(option))
    same = [
        np.array_equal(image, transform(steps, image, mask, (0, 0, row))[0]) for row in range(20)
    ]
    assert all(same) if option.stem == "none" else not all(same)


@pytest.mark.parametrize("name", ["gamma", "noise", "blur"])
def test_grey_values_change_within_bounds_and_the_mask_does_not(name: str) -> None:
    _, mask = slice_with_bar()
    image = np.random.default_rng(0).integers(40, 200, (SIDE, SIDE, 3), dtype=np.uint8)
    image = np.repeat(np.repeat(image[::8, ::8], 8, 0), 8, 1)
    steps, changes = augment(**NOTHING | {name: 0.5}), []
    for row in range(60):
        grey, same = transform(steps, image, mask, (0, 0, row))
        assert np.array_equal(same, mask)
        assert (grey.dtype, grey.shape) == (np.uint8, image.shape)
        changes.append(np.abs(grey.astype(float) - image).mean())
    untouched = np.mean(np.array(changes) == 0)
    assert 0.3 < untouched < 0.7
    assert 1 < max(changes) < 40
