import numpy as np
from matplotlib.colors import to_rgb

from brainseg.figures.overlay import FALSE_ALARM, HIT, MISS, overlay, panel

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
