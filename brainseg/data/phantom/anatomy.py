"""The synthetic head behind the phantoms: tissues and tumour in space, before any scanner.

Nothing here is measured: shapes were chosen by eye to look like the LGG scans. Coordinates: x to
the right and y down, -1 to 1 over the image; z is -1 at the base of the head and 1 at its top.
"""

import math
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]  # [D, H, W]
Labels = NDArray[np.uint8]  # [D, H, W]
Place = tuple[Volume, Volume, Volume]  # x, y, z

AIR, SCALP, BONE, CSF, SULCUS, GREY, WHITE, DEEP, FACE, VESSEL = range(10)


@dataclass(frozen=True)
class Tumour:
    """An ellipsoid with a rough border; `centre` and `radii` are (x, y, z)."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    roughness: float


@dataclass(frozen=True)
class Head:
    """Tissues and tumour of one patient.

    Attributes:
        labels: Tissue of each voxel, `AIR` to `VESSEL`.
        reach: Distance from the tumour's centre, 1 at its border.
        mask: Where the tumour is.
        rough: Smooth noise of unit variance, coarse.
        folds: The same, as coarse as the brain's folds.
        grain: The same, finer.
    """

    labels: Labels
    reach: Volume
    mask: NDArray[np.bool_]
    rough: Volume
    folds: Volume
    grain: Volume


def draw_head(rng: np.random.Generator, *, slices: int, size: int) -> Head:
    """Draw the head of a patient, `slices` from base to top, `size` pixels high and wide."""
    z, y, x = _coordinates(rng, slices, size)
    rough, folds, grain = (noise(rng, x.shape, cells) for cells in (6, 16, 30))
    tumour = _draw_tumour(rng)
    roughness = np.float32(tumour.roughness) * (rough + 0.5 * folds)
    reach = cast(Volume, _reach(tumour, x, y, z) + roughness)
    x = _push_aside(tumour, x, y, z)
    labels = np.zeros(x.shape, np.uint8)
    brain_y, depth = _add_shell(labels, rng, (x, y, z), rough, grain)
    _add_cortex(labels, (x, brain_y, z), depth, (rough, folds, grain))
    _add_interior(labels, rng, x, y, z, depth)
    labels[(depth > -0.06) & (np.hypot(x / 0.035, depth / 0.03) < 1) & (y > 0)] = VESSEL
    labels[(grain > 3.3) & (depth > 0)] = VESSEL
    reach[tumour.centre[0] * x < 0] += 1  # the midline holds it back
    labels[(reach < 1) & (labels == SULCUS)] = GREY  # swollen shut
    mask = (reach < 1) & np.isin(labels, (GREY, WHITE, DEEP))
    return Head(labels, reach, mask, rough, folds, grain)


def noise(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> Volume:
    """Draw smooth noise of unit variance, `[D, H, W]`, about `cells` bumps high and wide."""
    depth, height, width = shape
    layers = max(2, cells // 2)
    grid = rng.standard_normal((cells + 3, cells + 3, layers)).astype(np.float32)
    planes = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    planes = np.ascontiguousarray(np.moveaxis(planes, -1, 0))
    at = np.linspace(0, layers - 1.001, depth, dtype=np.float32)[:, None, None]
    lower = at.astype(int).ravel()
    field = planes[lower] + at % 1 * (planes[lower + 1] - planes[lower])
    return cast(Volume, field / field.std())


def _coordinates(rng: np.random.Generator, slices: int, size: int) -> tuple[Volume, Volume, Volume]:
    """Return z `[D, 1, 1]`, y and x `[D, H, W]` of a head that lies a little askew."""
    z = np.linspace(rng.uniform(-0.85, -0.6), rng.uniform(0.85, 0.97), slices, dtype=np.float32)
    side = np.linspace(-1, 1, size, dtype=np.float32)
    angle, zoom = rng.normal(0, 0.07), rng.uniform(0.85, 1.2)
    down, right = rng.normal(0, 0.04), rng.normal(0, 0.04)
    y, x = zoom * (side[:, None] - down), zoom * (side[None, :] - right)
    shape = (slices, size, size)
    wide, tall = 0.016 * noise(rng, shape, 3), 0.016 * noise(rng, shape, 3)
    return (
        z[:, None, None],
        math.cos(angle) * y - math.sin(angle) * x + tall,
        math.cos(angle) * x + math.sin(angle) * y + wide,
    )


def _draw_tumour(rng: np.random.Generator) -> Tumour:
    """Draw where in one hemisphere the tumour is and how far it goes."""
    radius = rng.uniform(0.1, 0.34)
    return Tumour(
        centre=(
            float(rng.choice([-1, 1])) * rng.uniform(0.16, 0.36),
            rng.uniform(-0.45, 0.4),
            rng.uniform(-0.25, 0.6),
        ),
        radii=(
            radius * rng.uniform(0.75, 1.2),
            radius * rng.uniform(0.9, 1.5),
            radius * 0.6 + rng.uniform(0.1, 0.16),
        ),
        roughness=rng.uniform(0.1, 0.26),
    )


def _reach(tumour: Tumour, x: Volume, y: Volume, z: Volume) -> Volume:
    """Return the distance from the tumour's centre, 1 on the ellipsoid."""
    squares = [
        ((axis - centre) / radius) ** 2
        for axis, centre, radius in zip((x, y, z), tumour.centre, tumour.radii, strict=True)
    ]
    return cast(Volume, np.sqrt(squares[0] + squares[1] + squares[2]))


def _push_aside(tumour: Tumour, x: Volume, y: Volume, z: Volume) -> Volume:
    """Return the x of the anatomy that the tumour has displaced."""
    push = 0.25 * tumour.radii[0] * np.exp(-((_reach(tumour, x, y, z) / 1.6) ** 2))
    return cast(Volume, x + math.copysign(1, tumour.centre[0]) * push)


def _add_shell(
    labels: Labels, rng: np.random.Generator, at: Place, rough: Volume, grain: Volume
) -> tuple[Volume, Volume]:
    """Add all that is around the brain; return the brain's y and the depth below its surface."""
    x, y, z = at
    outline = np.sqrt(np.clip(1 - np.clip(z - 0.05, 0, 1) ** 2.3, 0.02, 1))  # [D, 1, 1]
    base = np.clip((-0.25 - z) / 0.3, 0, 1)  # 1 where the face lies before the brain
    head = (1 - np.hypot(x / (0.69 - 0.07 * y), y / 0.88) / outline) * outline
    brain_y = y - 0.27 * base
    brain = np.hypot(x / (0.58 - 0.06 * y), brain_y / (0.76 - 0.26 * base)) / outline
    depth = 0.62 * outline * (1 - brain)
    labels[head > -0.01] = SCALP
    labels[head * 0.7 > rng.uniform(0.03, 0.065) - 0.015 * rough] = BONE
    face = (labels == BONE) & (depth < -0.06) & (base > 0)
    labels[face] = np.choose((grain[face] > 0.9) + (grain[face] > -0.5), (AIR, FACE, SCALP))
    for eye in (-0.29, 0.29):
        radius = np.hypot(x - eye, y + 0.62) / 0.15
        near = (np.abs(z + 0.45) < 0.16) & (head > 0.05)
        labels[near & (radius < 1.25)] = SCALP
        labels[near & (radius < 1)] = CSF
    labels[depth > -0.035] = BONE
    labels[depth > -0.02 - 0.008 * rough] = CSF
    return brain_y, depth


def _add_cortex(labels: Labels, at: Place, depth: Volume, fields: Place) -> None:
    """Fold grey matter around white; the sulci, unevenly spaced and bent, narrow inwards."""
    (x, brain_y, z), (rough, folds, grain) = at, fields
    around = 9 * np.arctan2(x, -brain_y) + 1.6 * rough + 0.5 * folds
    valley = np.abs(np.sin(around)) + 0.15 * np.abs(grain)
    deepest = 0.17 + 0.06 * folds
    ribbon = np.clip(1 - depth / np.maximum(deepest, 0.05), 0, 1)
    labels[depth > 0] = GREY
    labels[(depth > 0.05 + 0.012 * grain) & (valley > 0.45 + 0.3 * ribbon)] = WHITE
    labels[depth > deepest + 0.05] = WHITE
    labels[(valley < 0.3 * ribbon) & (depth > 0)] = SULCUS
    fissure = (np.abs(brain_y + 0.05) > 0.3) | (z > 0.5)
    labels[fissure & (np.abs(x) < 0.012) & (depth > 0)] = CSF


def _add_interior(
    labels: Labels, rng: np.random.Generator, x: Volume, y: Volume, z: Volume, depth: Volume
) -> None:
    """Add the deep nuclei, the ventricles and the petrous bones."""
    side = np.abs(x)
    putamen = (side - 0.2) ** 2 / 0.06**2 + (y + 0.03) ** 2 / 0.16**2
    thalamus = (side - 0.085) ** 2 / 0.07**2 + (y - 0.09) ** 2 / 0.12**2
    labels[(np.minimum(putamen, thalamus) < 1) & (np.abs(z - 0.02) < 0.2) & (depth > 0.1)] = DEEP

    width = rng.uniform(0.7, 1.9)
    along = (y + 0.02) / 0.36  # of a lateral ventricle, -1 at its front horn and 1 at its back
    middle = 0.035 + 0.15 * along**2 * (1 + 0.4 * np.sign(along))
    body = np.sqrt(np.clip(1 - along**2, 0, 1)) * np.clip(1 - ((z - 0.17) / 0.27) ** 2, 0, 1)
    lateral = np.abs(side - middle) < 0.05 * width * body * (0.55 + 0.45 * along**2)
    third = (side < 0.014 * width) & (np.abs(y - 0.08) < 0.13) & (np.abs(z + 0.08) < 0.13)
    fourth = (np.hypot(x / 0.06, (y - 0.42) / 0.05) < width) & (np.abs(z + 0.5) < 0.12)
    labels[(lateral | third | fourth) & (depth > 0)] = CSF

    petrous = np.abs(y + 0.12 - 0.75 * side) + np.abs(z + 0.55) / 2 < 0.07
    labels[petrous & (np.abs(side - 0.33) < 0.2) & (depth > 0)] = BONE
