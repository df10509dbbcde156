from pathlib import Path

import pytest
from hydra.errors import HydraException

from brainseg.config import CONF, compose, instantiate, refuse_foreign_targets
from brainseg.data.datamodule import SegmentationDataModule
from brainseg.run import build_data, build_module
from tests.conftest import plain, tiny_config

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
OPTIONS = [
    f"{group}={path.stem}"
    for group in GROUPS
    if group not in ("experiment", "hydra")
    for path in sorted((CONF / group).glob("*.yaml"))
]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_builds(option: str) -> None:
    if option == "data=lgg":
        config = plain(compose(["data=lgg"]))
    else:
        config = tiny_config("model.net.width=16", "data.size=32", option)
    if option != "trainer=gpu":
        assert build_module(config).net is not None
        assert isinstance(build_data(config), SegmentationDataModule)


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")))
def test_every_experiment_composes_and_opens_with_question_command_and_result(path: Path) -> None:
    assert compose([f"experiment={path.stem}"]).question.endswith("?")
    start = [line.partition(":")[0] for line in path.read_text().splitlines()[1:4]]
    assert start == ["question", "# Command", "# Expect"]


def test_an_experiment_can_set_what_the_command_line_can() -> None:
    cfg = compose(["experiment=demo"])
    assert cfg.model.net.width != compose([]).model.net.width


@pytest.mark.parametrize("override", ["nrom=batch", "norm=bacth", "optimizer.lrr=1", "epoch=3"])
def test_an_unknown_key_or_option_is_refused_by_name(override: str) -> None:
    with pytest.raises(HydraException, match=override.split("=")[0].split(".")[-1]):
        compose([override])


def test_option_files_stay_short() -> None:
    for path in CONF.rglob("*.yaml"):
        if path.name != "train.yaml":
            assert len(path.read_text().splitlines()) <= 28, path


def test_instantiate_raises_what_the_constructor_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        instantiate({"_target_": "builtins.int", "_args_": ["x"]})


@pytest.mark.parametrize(
    "target", ["os.system", "builtins.eval", "torch.hub.load", "subprocess.run"]
)
def test_a_loaded_configuration_cannot_name_foreign_code(target: str) -> None:
    with pytest.raises(ValueError, match=target):
        refuse_foreign_targets({"net": {"layers": [{"_target_": target}]}})


def test_our_own_configuration_is_not_foreign() -> None:
    refuse_foreign_targets(tiny_config()["model"])
