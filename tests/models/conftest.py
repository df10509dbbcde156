from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from brainseg.models.blocks import Norm

CONF = Path(__file__).parents[2] / "conf" / "norm"
NORMS = sorted(path.stem for path in CONF.glob("*.yaml"))


@pytest.fixture
def make_norm() -> Callable[[str], Norm]:
    def make(name: str) -> Norm:
        norm: Norm = instantiate(OmegaConf.load(CONF / f"{name}.yaml"), _convert_="all")
        return norm

    return make


@pytest.fixture(params=NORMS)
def norm_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def norm(norm_name: str, make_norm: Callable[[str], Norm]) -> Norm:
    return make_norm(norm_name)
