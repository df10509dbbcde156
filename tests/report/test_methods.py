from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from brainseg.config import CONF, compose
from brainseg.report import methods
from brainseg.report.cells import Result
from brainseg.report.gather import Found
from brainseg.report.study import study
from brainseg.runs.identity import identity
from tests.conftest import plain
from tests.report.synthetic import result, sweep

OPTIONS = [
    f"{path.parent.name}={path.stem}"
    for path in sorted(CONF.glob("*/*.yaml"))
    if path.parent.name not in ("experiment", "split")
]
DICE = {part: [0.5, 0.6, 0.7, 0.8, 0.6, 0.7] for part in ("train", "val", "test")}


@cache
def composed(*words: str) -> dict[str, Any]:
    return plain(compose(words))


def said(*results: Result) -> str:
    return "\n".join(methods.methods(study(Found(list(results)))))


def real(*words: str, **levels: Any) -> Result:
    """A cell with a configuration as it is composed, and the option of each group."""
    config = deepcopy(composed(*words))
    chosen = dict(word.split("=") for word in words)
    choices = {group: "default" for group in config if isinstance(config[group], dict)} | chosen
    return replace(result(levels, DICE), config=config | levels, choices=choices)


@pytest.mark.parametrize("option", OPTIONS)
def test_whatever_is_set_is_told(option: str) -> None:
    cell = real(option)
    text = said(cell)
    group, name = option.split("=")
    assert f"{group} {name}" in text
    for key, value in identity(cell.config).items():
        if key.startswith("data.reader.") or key.endswith(("_target_", "_partial_", ".fused")):
            continue
        if value in (None, False, 0, "none") or key.startswith(("split.", "data.on_error")):
            continue
        each = value if isinstance(value, list) else [value]
        shown = ", ".join(f"{one:g}" if isinstance(one, float) else f"{one}" for one in each)
        assert key.rpartition(".")[2] + (" " + shown).removesuffix(" True") in text


def test_what_is_off_is_left_out() -> None:
    text = said(real("data=lgg"))
    for word in ("; dropout", "denoise", "crop", "compile", "early_stopping", "_partial_"):
        assert word not in text


def test_every_source_is_of_something_that_an_option_builds() -> None:
    built = set[str]()
    for option in OPTIONS:
        config = identity(composed(option))
        built |= {str(value) for key, value in config.items() if key.endswith("_target_")}
    assert set(methods.SOURCES) <= built


def test_what_differs_is_told_with_its_levels() -> None:
    one, other = real("norm=batch", epochs=9), real("norm=group")
    text = said(replace(one, name="one"), replace(other, name="other"))
    assert "norm batch (Ioffe and Szegedy 2015, arXiv 1502.03167; momentum 0.1) or group" in text
    assert "epochs 9 or 50" in text


def test_a_foreign_builder_is_named_whole() -> None:
    cell = real("norm=batch")
    foreign = cell.config | {"norm": {"_target_": "mine.norms.odd", "groups": 3}}
    assert "mine.norms.odd; groups 3" in said(replace(cell, config=foreign))


def test_seeds_are_named_where_there_are_several() -> None:
    one, two = (
        "\n".join(methods.methods(study(Found(sweep({"norm": ["a", "b"], "seed": seeds})))))
        for seeds in ([0], [0, 1])
    )
    assert "bootstrap over patients, " in one
    assert "Satterthwaite" not in one
    assert "bootstrap over patients and seeds" in two
    assert "Satterthwaite" in two


def test_patients_that_lack_a_sequence_are_counted_once() -> None:
    cell = real("data=lgg")
    assert "missing" not in said(cell)
    table = cell.patients
    lacking = table["patient"].isin(["P_test_01", "P_val_02"]).map({True: "post", False: None})
    text = said(replace(cell, patients=table.assign(missing=lacking)))
    assert "2 with a sequence missing, where another stands in" in text


def test_a_configuration_alone_is_not_tested() -> None:
    assert "Wilcoxon" not in said(*sweep({"norm": ["batch"]}))


def test_folds_are_counted() -> None:
    folds = [
        replace(
            result({"split.fold": fold}, DICE, names={"test": [f"P{fold}{n}" for n in range(6)]}),
            name=f"fold{fold}",
        )
        for fold in (0, 1)
    ]
    text = said(*folds)
    assert (
        "in each of 2 folds 6 train, 6 validate, 6 test; split patient (seed 0; fold 0 or" in text
    )


def test_a_share_that_folds_do_not_ask_for_is_not_told() -> None:
    cell = real("data=lgg")
    folded = cell.config | {"split": cell.config["split"] | {"fold": 2, "folds": 4}}
    text = said(replace(cell, config=folded))
    assert "; test 0.15" not in text
    assert "fold 2; folds 4" in text
    assert "; test 0.15" in said(cell)
    assert "folds" not in said(cell)
