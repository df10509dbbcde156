import shutil
from pathlib import Path

import pytest
import torch

from brainseg.training.fit import fit
from tests.conftest import tiny_cell


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_trains_and_learns_what_the_eager_one_does(tmp_path: Path) -> None:
    words = ("trainer.precision=32-true", "callbacks.panel.every=1")
    torch.compiler.reset()
    compiled = fit(tiny_cell(tmp_path / "compiled", "compile=true", *words), title="compiled")
    eager = fit(tiny_cell(tmp_path / "eager", *words), title="eager")
    assert compiled == pytest.approx(eager, abs=0.02)
