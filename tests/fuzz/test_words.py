"""Words on the command line: what they say is built, or one line says why not."""

import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException

from brainseg.config import compose
from brainseg.data.cache import Scans
from brainseg.errors import reason
from brainseg.hardware import resolve
from brainseg.training.build import build, build_trainer
from brainseg.values import check
from tests.conftest import TINY, plain
from tests.fuzz.conftest import examples

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def _keys(node: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield (here := f"{path}.{key}" if path else key)
        if isinstance(value, dict):
            yield from _keys(value, here)


# what can be set, in a configuration or beside it, and what cannot
KEYS = (
    *(key for key in _keys(plain(compose([*TINY]))) if "._" not in key),
    *("norm.groups", "scheduler.patience", "scheduler.factor", "+trainer.devices", "experiment"),
    *("+trainer.max_epochs", "+trainer.gradient_clip_val", "+trainer.limit_train_batches"),
    *("+trainer.accumulate_grad_batches", "+eopchs", "+data.size2", "+model.net.bias", "~augment"),
    *("~callbacks", "~norm", "~loss", "~data", "~model", "~optimizer", "~scheduler", "~split"),
    *("~trainer", "~sampler", "nrom", "hydra.run.dir"),
)
VALUES = (
    *("0", "1", "2", "-1", "3.5", "1e-3", "1e400", "nan", "inf", "true", "null", "''", "[]"),
    *("[1]", "[3,5]", "[flair]", "{}", "{a: 1}", "abc", "batch", "group", "none", "layer", "dice"),
    *("focal", "tversky", "phantom", "lgg", "unet", "adam", "sgd", "plateau", "cosine", "slice"),
    *("patient", "uniform", "light", "cpu", "gpu", "auto", "32-true", "bf16-mixed", "16-mixed"),
    *("64", "bilinear", "zscore", "unit", "median", "skip", "/nowhere", "../x", "a,b", "a b"),
    *("${oc.env:HOME}", "${seed}", "${nothing}", "ü", "'1'", "1000000", "yes", "off", "0x10"),
)
ALLOWED = (HydraException, OmegaConfBaseException, ValueError, OSError, FloatingPointError)
word = st.builds(
    lambda key, value: key if key.startswith("~") else f"{key}={value}",
    st.sampled_from(KEYS),
    st.sampled_from(VALUES),
)


@settings(max_examples=examples("words"))
@given(words=st.lists(word, max_size=4))
def test_words_are_built_or_refused_in_one_line(words: list[str]) -> None:
    try:
        config = plain(compose([*TINY, "data.reader.patients=5", *words]))
        check(config)
        config["trainer"] |= resolve(config["trainer"])
        with tempfile.TemporaryDirectory() as folder, chdir(folder):  # data.root=abc is written to
            data, module = build(config)
            assert module.optimizer
            assert module.scheduler
            module.scheduler(module.optimizer(module.net.parameters()), epochs=2, steps=3)
            build_trainer(config, Path(folder), [])
    except ALLOWED as error:
        said = reason(error)
        assert said.strip(), words
        if not isinstance(error, HydraException | OmegaConfBaseException):
            assert "\n" not in said, (words, said)
        return
    except (TypeError, RuntimeError) as error:  # no such argument, or a network too large
        said = reason(error)
        assert said.endswith("correct its name") or said.startswith("out of memory"), (words, said)
        return
    assert isinstance(data.scans, Scans)
    assert len(data.split.train)
