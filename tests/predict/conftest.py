"""A tiny trained run, and scans of every kind that are made for it."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from brainseg.predict.__main__ import main
from brainseg.training.fit import fit
from tests.conftest import tiny_cell

Predict = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cell = tiny_cell(
        tmp_path_factory.mktemp("predict") / "run",
        "epochs=8",
        "optimizer.lr=3e-3",
        "augment=geometric",
    )
    fit(cell, title="run")
    return cell.folder


@pytest.fixture
def predict(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Predict:
    """The command in an empty folder: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*map(str, words), "--weights", str(run)])
        return code, *capsys.readouterr()

    return call


def head(slices: int = 5, height: int = 40, width: int = 36) -> np.ndarray:
    """A bright ball in a grey one, float [D, H, W] of 0 to 1000."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (slices, height, width)), indexing="ij")
    ball = (x**2 + y**2 + 0.3 * z**2 < 0.7) * 300.0
    ball[(x - 0.3) ** 2 + (y + 0.2) ** 2 + 0.2 * z**2 < 0.06] = 1000
    return ball + np.random.default_rng(0).uniform(0, 20, ball.shape)


def write_nifti(path: Path, values: np.ndarray, **header: object) -> Path:
    """[D, H, W] as an axial volume, x to the left, y to the back, 1 x 1 x 5 mm."""
    array = values.transpose(2, 1, 0)
    image = nib.Nifti1Image(array, np.diag([-1.0, -1.0, 5.0, 1.0]))
    image.set_sform(image.affine, int(header.get("sform", 1)))
    image.set_qform(image.affine, int(header.get("qform", 1)))
    nib.save(image, path)
    return path
