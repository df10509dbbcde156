import re
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException

from brainseg.config import CONF, compose, instantiate
from brainseg.data.datamodule import SegmentationDataModule
from brainseg.loaded import refuse_foreign_targets
from brainseg.losses import dice_loss
from brainseg.training.build import build_data, build_module
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
    if option.startswith(("data=", "model=")) and option not in ("data=phantom", "model=unet"):
        config = plain(compose([option]))
    else:
        config = tiny_config("model.net.width=16", "data.size=32", option)
    if option != "trainer=gpu":
        assert build_module(config).net is not None
        assert isinstance(build_data(config), SegmentationDataModule)


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")))
def test_every_experiment_composes_and_opens_with_question_command_and_result(path: Path) -> None:
    assert compose([f"experiment={path.stem}"]).question.endswith("?")
    start = [line.partition(":")[0] for line in path.read_text().splitlines()[1:]]
    named = [each for each in start if not each.startswith("#   ")]  # their lines go on
    assert named[:3] == ["question", "# Command", "# Expect"]


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
    "target",
    [
        "os.system",
        "builtins.eval",
        "torch.hub.load",
        "subprocess.run",
        "brainseg.config.Path.write_text",
        "brainseg.training.build.torch.load",
        "brainseg.models.unet.nn.functional.torch.load",
        "brainseg.module.SegmentationModule.load_from_checkpoint",
        "brainseg.module.SegmentationModule.forward",
        "brainseg.data.split.Path",
        "brainseg.data.writer.Writer",
        "brainseg.data.lgg.download",
        "brainseg.modelsx.evil",
        "brainseg.models.unet.nothing_here",
        "brainseg.models.unet",
        "torch.nn.modules.module.register_module_forward_hook",
        "torch.nn.modules.torch.load",
        "${oc.env:HOME}",
        7,
        None,
    ],
)
@pytest.mark.parametrize("inside", [list, tuple])
def test_a_loaded_configuration_cannot_name_foreign_code(target: Any, inside: type) -> None:
    with pytest.raises(ValueError, match=re.escape(f"_target_={target} is not allowed")) as error:
        refuse_foreign_targets({"net": {"layers": inside([{"_target_": target}])}})
    assert "\n" not in str(error.value)


def test_a_loaded_configuration_writes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "written"
    own = {"_target_": "brainseg.config.Path", "_args_": [str(path)]}
    node = {"_target_": "brainseg.config.Path.write_text", "_args_": [own, "text"]}
    with pytest.raises(ValueError, match=r"brainseg\.config\.Path"):
        instantiate_loaded(node)
    assert not path.exists()


def instantiate_loaded(node: dict[str, Any]) -> Any:
    refuse_foreign_targets({"model": node})
    return instantiate(node)


@pytest.mark.parametrize("text", ["${oc.create:'{_target_: os.getcwd}'}", "a${oc.env:HOME}"])
def test_a_loaded_configuration_cannot_be_put_together_later(text: str) -> None:
    with pytest.raises(ValueError, match=r"net=.* must be resolved"):
        refuse_foreign_targets({"model": {"net": [text]}})


def test_our_own_configuration_is_not_foreign() -> None:
    refuse_foreign_targets(tiny_config()["model"])


@pytest.mark.parametrize("option", OPTIONS)
def test_no_option_that_a_checkpoint_builds_is_foreign(option: str) -> None:
    config = plain(compose([option]))
    built = ("model", "optimizer", "scheduler", "data", "split")
    refuse_foreign_targets({key: config[key] for key in built})


def test_a_partial_of_ours_still_builds() -> None:
    loss = instantiate_loaded({"_target_": "brainseg.losses.dice_loss", "_partial_": True})
    assert loss.func is dice_loss


@pytest.mark.parametrize(
    "word", ["norm=[batch,group]", "loss=[bce, dice]", "data=[1,2]", "+norm={a: 1}"]
)
def test_several_options_of_a_group_are_not_merged_in_silence(word: str) -> None:
    with pytest.raises(ValueError, match="must be one option of its group; to train with each"):
        compose([word])
    assert compose(["data.modalities=[flair]"]).data.modalities == ["flair"]
