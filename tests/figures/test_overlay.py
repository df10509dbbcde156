import numpy as np
from matplotlib.colors import to_rgb

from brainseg.figures.overlay import FALSE_ALARM, HIT, MISS, overlay, painted, panel

IMAGE = np.zeros((4, 4))
TARGET = np.zeros((4, 4), bool)
PREDS = np.zeros((4, 4), bool)
TARGET[0, :2] = True
PREDS[0, 1:3] = True


def test_misses_hits_and_false_alarms_have_colours_of_their_own() -> None:
    picture = overlay(IMAGE, TARGET, PREDS, opacity=1.0)
    np.testing.assert_allclose(picture[0, 0], to_rgb(MISS), atol=1e-6)
    np.testing.assert_allclose(picture[0, 1], to_rgb(HIT), atol=1e-6)
    np.testing.assert_allclose(picture[0, 2], to_rgb(FALSE_ALARM), atol=1e-6)
    np.testing.assert_allclose(picture[1], 0)


def test_truth_is_reddish_and_prediction_greenish() -> None:
    missed, false_alarm = to_rgb(MISS), to_rgb(FALSE_ALARM)
    assert missed[0] > missed[1]
    assert false_alarm[1] > false_alarm[0]


def test_a_constant_image_is_drawn_without_dividing_by_zero() -> None:
    assert np.isfinite(overlay(np.full((4, 4), 7.0), TARGET, PREDS)).all()


def test_a_panel_has_scans_above_and_overlays_below() -> None:
    picture = panel(np.stack([IMAGE] * 3), np.stack([TARGET] * 3), np.stack([PREDS] * 3))
    assert picture.shape == (8, 12, 3)
    assert picture[:4].max() == 0
    assert picture[4:].max() > 0


def test_of_nested_masks_the_inner_one_is_seen() -> None:
    image = np.full((6, 6), 0.5)
    image[0, 0], image[0, 1] = 0, 1
    outer, inner = np.zeros((2, 6, 6), bool)
    outer[1:5, 1:5] = True
    inner[2:4, 2:4] = True
    drawn = painted(image, np.stack([outer, inner]), ("#ff0000", "#00ff00"), opacity=1)
    np.testing.assert_allclose(drawn[2, 2], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(drawn[1, 1], [1, 0, 0], atol=1e-6)
    assert drawn[5, 5].std() == 0
