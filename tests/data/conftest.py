"""Scans in the LGG layout, generated: bright heads on a dark, noisy background, a few tumours."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

PATIENTS = {"TCGA_CS_0001_20000101": 3, "TCGA_DU_0002_20010203": 12, "TCGA_HT_0003_19991231": 4}

WriteLGG = Callable[..., Path]


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="TIFF")


def head(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """`[H, W, 3]`: pre, FLAIR, post around 60, 120, 180 inside an ellipse right of the middle."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = ((y - 0.5 * shape[0]) / 0.3 / shape[0]) ** 2 + ((x / shape[1] - 0.6) / 0.25) ** 2 < 1
    noise = rng.integers(0, 8, (*shape, 3))
    return (noise + inside[..., None] * np.array([60, 120, 180])).astype(np.uint8)


@pytest.fixture
def write_lgg(tmp_path: Path) -> WriteLGG:
    """Writes `patients` (name: number of slices) to `folder`; every second slice has a tumour."""

    def tumour(shape: tuple[int, int], k: int) -> NDArray[np.uint8]:
        mask = np.zeros(shape, np.uint8)
        if k % 2 == 0:
            top, left = int(0.4 * shape[0]), int(0.5 * shape[1])
            mask[top : top + shape[0] // 5, left : left + min(2 + k, shape[1] // 4)] = 255
        return mask

    def write(
        patients: dict[str, int] = PATIENTS,
        folder: str = "kaggle_3m",
        shape: tuple[int, int] = (32, 32),
        seed: int = 0,
    ) -> Path:
        rng = np.random.default_rng(seed)
        root = tmp_path / folder
        for name, count in patients.items():
            for k in range(1, count + 1):
                save(root / name / f"{name}_{k}.tif", head(shape, rng))
                save(root / name / f"{name}_{k}_mask.tif", tumour(shape, k))
        return root

    return write


@pytest.fixture
def lgg_root(write_lgg: WriteLGG) -> Path:
    """`kaggle_3m` with 3 patients of 3, 12 and 4 slices."""
    return write_lgg()
