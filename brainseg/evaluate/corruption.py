"""Scans made worse, step by step: what scanners, patients and protocols do to images.

The kinds and their grading follow ROOD-MRI (Boone et al. 2023, NeuroImage 278); each is drawn anew
in 2D slices. Levels are 1 to 5; what a level means stands in `KINDS`.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]  # [D, H, W], 0 to 1
Pixels = NDArray[np.uint8]
Change = Callable[[Floats, float, np.random.Generator], Floats]

LEVELS = (1, 2, 3, 4, 5)
_SIDE = 256  # pixels a side, of which widths of blur are


@dataclass(frozen=True)
class Kind:
    """One way in which scans become worse.

    Attributes:
        change: of one sequence, by a strength.
        strengths: of each of `LEVELS`.
        unit: what they are.
    """

    change: Change
    strengths: tuple[float, ...]
    unit: str


def corrupted(volume: Pixels, kind: str, level: int, name: str) -> Pixels:
    """A volume made worse: the same for the same patient, whatever came before.

    Sequences that are copies of one another stay copies, and what lies outside of a skull-stripped
    head stays black. All levels of a kind share their draws, and differ in strength alone.

    Args:
        volume: uint8 [D, H, W, M].
        kind: of `KINDS`.
        level: of `LEVELS`.
        name: of the patient.
    """
    own = KINDS[kind]
    strength = own.strengths[level - 1]
    changed: list[Pixels] = []
    for k in range(volume.shape[-1]):
        same = [c for c in range(k) if np.array_equal(volume[..., c], volume[..., k])]
        if same:
            changed.append(changed[same[0]])
            continue
        rng = np.random.default_rng((zlib.crc32(f"{name} {kind}".encode()), k))
        values = own.change(np.float32(1 / 255) * volume[..., k], strength, rng)
        changed.append(np.asarray(np.rint(255 * values.clip(0, 1)), np.uint8))
    found = np.stack(changed, axis=-1)
    outside = volume.max(-1) == 0
    if outside[:, [0, -1]].mean() > 0.99:
        found[outside] = 0
    return found


def _blur(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    width = strength * values.shape[-1] / _SIDE
    changed: Floats = ndimage.gaussian_filter(values, (0, width, width)).astype(np.float32)
    return changed


def _bias(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Times exp(strength x polynomial of degree 3), the polynomial within -1 and 1."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in values.shape]
    powers = [np.stack([axis**p for p in range(4)]) for axis in axes]
    weights = rng.normal(size=(4, 4, 4)).astype(np.float32)
    weights[np.indices(weights.shape).sum(0) > 3] = 0
    weights[0, 0, 0] = 0
    field = np.einsum("abc,ad,bh,cw->dhw", weights, *powers, optimize=True)
    changed: Floats = values * np.exp(strength * field / np.abs(field).max())
    return changed


def _noise(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Rician."""
    real, imaginary = strength * rng.standard_normal((2, *values.shape), np.float32)
    changed: Floats = np.hypot(values + real, imaginary).astype(np.float32)
    return changed


def _ghosting(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Each n-th line of k-space keeps its weight, as where a patient moves with each n-th echo."""
    every, rows = int(rng.integers(2, 6)), values.shape[1]
    lines = np.fft.fft(values, axis=1)
    weaker = np.arange(rows) % every != 0
    weaker[: rows // 40 + 1] = weaker[-(rows // 40) or rows :] = False  # the centre
    lines[:, weaker] *= 1 - strength
    changed: Floats = np.abs(np.fft.ifft(lines, axis=1)).astype(np.float32)
    return changed


def _thick(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Slices in blocks, each the mean of its block."""
    changed = values.copy()
    for first in range(0, len(values), int(strength)):
        block = slice(first, first + int(strength))
        changed[block] = values[block].mean(0)
    return changed


def _matrix(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Fewer pixels a side, then as many as before."""
    _, height, width = values.shape
    small = max(1, round(width / strength)), max(1, round(height / strength))
    each = (
        cv2.resize(
            cv2.resize(plane, small, interpolation=cv2.INTER_AREA),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        for plane in values
    )
    return np.stack(list(each)).astype(np.float32)


def _intensity(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """To the power of the strength, or of one over it."""
    changed: Floats = values ** np.float32(strength if rng.random() < 0.5 else 1 / strength)
    return changed


KINDS = {
    "blur": Kind(_blur, (1, 1.5, 2, 3, 4), "SD in pixels of 256 a side"),
    "bias field": Kind(_bias, (0.2, 0.4, 0.6, 0.8, 1), "largest logarithm of the field"),
    "noise": Kind(_noise, (0.02, 0.04, 0.07, 0.1, 0.15), "SD, share of the range"),
    "ghosting": Kind(_ghosting, (0.1, 0.2, 0.35, 0.5, 0.7), "share that other lines lose"),
    "thick slices": Kind(_thick, (2, 3, 4, 5, 6), "slices in one"),
    "low matrix": Kind(_matrix, (1.5, 2, 2.5, 3, 4), "times fewer pixels a side"),
    "intensity": Kind(_intensity, (1.2, 1.4, 1.7, 2, 2.5), "power, or one over it"),
}
