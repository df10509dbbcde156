"""Two tiny trained runs of one split, and phantoms that they have never seen."""

from collections.abc import Callable
from pathlib import Path

import pytest

from brainseg.data.phantom import Phantom
from brainseg.runs.cell import Cell
from brainseg.training.fit import fit
from tests.conftest import tiny_cell

ENOUGH = (  # patients for an interval: 10 train, 4 val, 6 test
    "data.reader.patients=20",
    "split.val=0.2",
    "split.test=0.3",
    "optimizer.lr=3e-3",
    "epochs=4",
)

Train = Callable[..., Path]


def rename(root: Path, old: str, new: str) -> None:
    """Give a patient's folder and files another name."""
    folder = (root / old).rename(root / new)
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace(old, new))


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brainseg.statistics.DRAWS", 199)


@pytest.fixture
def drawn() -> None:
    """Asks for the pictures, which take most of an evaluation's time."""


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "drawn" not in request.fixturenames:
        for name in ("charts", "pictures"):
            monkeypatch.setattr(f"brainseg.evaluate.evaluation.{name}", lambda *_: {})


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains a tiny cell and returns its folder."""

    def one(*overrides: str) -> Path:
        cell: Cell = tiny_cell(tmp_path_factory.mktemp("run") / "cell", *ENOUGH, *overrides)
        fit(cell, title="test")
        return cell.folder

    return one


@pytest.fixture(scope="session")
def run(train: Train) -> Path:
    return train("seed=0")


@pytest.fixture(scope="session")
def sibling(train: Train) -> Path:
    return train("seed=1")


@pytest.fixture(scope="session")
def folds(train: Train) -> list[Path]:
    return [train("epochs=1", f"split.fold={fold}", "split.folds=3") for fold in range(3)]


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """`kaggle_3m` with 4 patients of another seed, under names that no run knows."""
    patients = Phantom(patients=4, slices=(3, 5), size=32, seed=7).find(tmp_path / "new").patients
    root = patients[0].images[0].parent.parent
    for number, patient in enumerate(patients):
        rename(root, patient.name, f"TCGA_ZZ_{number:04d}_20200101")
    return root
