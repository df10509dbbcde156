"""Scans that are unlike the training's are told, by features that tell one kind from another."""

import numpy as np
import pytest

from brainseg.predict.features import features, unlike
from brainseg.predict.scan import Scan


def scan(*, skull: bool, share: float = 0.9, top: float = 120, mm: float | None = None) -> Scan:
    """A round head of a brain, and a dark skull and a bright scalp around it where there is one."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, 96),) * 2, indexing="ij")
    far = np.hypot(y, x) / share
    draw = np.random.default_rng(0)
    values = np.where(far < 0.75, draw.normal(top, 8, (8, 96, 96)), draw.uniform(0, 6, (8, 96, 96)))
    if skull:
        values = np.where((far > 0.85) & (far < 1), 180.0, values)
    spacing = None if mm is None else (5.0, mm, mm)
    return Scan("x", {"flair": values.clip(0, 255).astype(np.uint8)}, {}, spacing=spacing)


KNOWN = {key: (value - 0.02, value + 0.02) for key, value in features(scan(skull=True)).items()}


def test_a_scan_like_the_trainings_is_passed_in_silence() -> None:
    assert set(KNOWN) == {"head", "dark", "low", "high"}
    assert unlike(scan(skull=True, mm=2.2), KNOWN) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (scan(skull=False), "is the skull there"),
        (scan(skull=True, share=0.5), "another field of view"),
        (scan(skull=True, top=40), "other intensities"),
        (scan(skull=True, mm=0.1), "are they right?"),
    ],
)
def test_a_scan_unlike_the_trainings_is_told(other: Scan, said: str) -> None:
    assert any(said in line for line in unlike(other, KNOWN))


def test_few_slices_show_no_head_and_black_ones_none() -> None:
    few = Scan("x", {"flair": np.full((4, 32, 32), 9, np.uint8)}, {})
    black = Scan("x", {"flair": np.zeros((8, 32, 32), np.uint8)}, {})
    assert features(few) == features(black) == {}
    assert unlike(few, KNOWN) == []
