"""Gain, offset and lost sequences: what the network sees, and on what the draws depend."""

from typing import Any

import numpy as np
import pytest

from brainseg.data.levels import Levels

MEAN = np.array([10, 40, 90], np.float32)
DEVIATION = np.array([5, 20, 30], np.float32)
FLAIR = 1


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (3, 8, 8), dtype=np.uint8)


def seen(levels: Levels, row: int = 0, **options: Any) -> np.ndarray:
    """The scaled channels [3, 8, 8] that the network gets."""
    settings = {"stand_in": FLAIR, "key": (0, 0, row)} | options
    channels, mean, deviation = levels(image(), MEAN, DEVIATION, **settings)
    assert (channels.dtype, mean.dtype, deviation.dtype) == (np.uint8, np.float32, np.float32)
    return (channels - mean[:, None, None]) / deviation[:, None, None]


PLAIN = (image() - MEAN[:, None, None]) / DEVIATION[:, None, None]


def test_nothing_drawn_changes_nothing_at_all() -> None:
    channels, mean, deviation = Levels()(image(), MEAN, DEVIATION, stand_in=FLAIR, key=(1, 2, 3))
    assert np.array_equal(channels, image())
    assert np.array_equal(mean, MEAN)
    assert np.array_equal(deviation, DEVIATION)


def test_gain_and_offset_are_a_line_through_the_scaled_image_within_their_limits() -> None:
    lines = []
    for row in range(100):
        each = seen(Levels(gain=0.2, offset=0.5), row)
        for c in range(3):
            gain, offset = np.polyfit(PLAIN[c].ravel(), each[c].ravel(), 1)
            assert np.allclose(PLAIN[c] * gain + offset, each[c], atol=1e-4)
            lines.append((gain, offset))
    gains, offsets = np.array(lines).T
    assert 0.8 - 1e-4 <= gains.min() < 0.82 < 1.18 < gains.max() <= 1.2 + 1e-4
    assert -0.5 - 1e-4 <= offsets.min() < -0.45 < 0.45 < offsets.max() <= 0.5 + 1e-4
    assert abs(np.corrcoef(gains, offsets)[0, 1]) < 0.2


def test_a_lost_sequence_is_the_stand_in_as_often_as_asked_each_for_itself() -> None:
    lost = np.zeros((400, 3), bool)
    for row in range(400):
        each = seen(Levels(sequence_dropout=0.3), row)
        for c in range(3):
            lost[row, c] = np.array_equal(each[c], PLAIN[FLAIR]) and c != FLAIR
            assert lost[row, c] or np.array_equal(each[c], PLAIN[c])
    assert lost.mean(0)[[0, 2]] == pytest.approx(0.3, abs=0.06)
    assert lost[:, [0, 2]].all(1).mean() == pytest.approx(0.09, abs=0.04)


def test_the_copy_is_another_draw_of_gain_and_offset() -> None:
    each = seen(Levels(gain=0.2, sequence_dropout=1.0))
    assert not np.array_equal(each[0], each[FLAIR])
    assert np.corrcoef(each[0].ravel(), PLAIN[FLAIR].ravel())[0, 1] == pytest.approx(1)


def test_without_a_stand_in_a_lost_sequence_is_zero_and_one_always_stays() -> None:
    kept = set()
    for row in range(100):
        each = seen(Levels(offset=0.5, sequence_dropout=1.0), row, stand_in=None)
        (left,) = (c for c in range(3) if each[c].any())
        kept.add(left)
    assert kept == {0, 1, 2}


def test_draws_depend_on_the_key_alone() -> None:
    levels = Levels(gain=0.2, offset=0.5, sequence_dropout=0.3)
    again = [seen(levels, key=(0, 1, 2)) for _ in range(2)]
    assert np.array_equal(*again)
    others = [seen(levels, key=key) for key in ((1, 1, 2), (0, 2, 2), (0, 1, 3))]
    assert not any(np.array_equal(again[0], other) for other in others)
