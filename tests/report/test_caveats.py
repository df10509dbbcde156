from dataclasses import replace
from typing import Any

import pytest

from brainseg.report.caveats import caveats
from brainseg.report.cells import Result
from brainseg.report.gather import Absent, Found
from brainseg.report.study import study
from tests.report.synthetic import result, sweep

AXES: dict[str, list[Any]] = {"norm": ["batch", "group"], "seed": [0, 1]}


def changed(made: Result, **metrics: Any) -> Result:
    return replace(made, metrics=made.metrics | metrics)


def said(results: list[Result], *absent: Absent) -> str:
    return "\n".join(caveats(study(Found(results, list(absent)))))


def test_a_whole_sweep_of_two_seeds_needs_no_word() -> None:
    assert said(sweep(AXES)) == ""


def test_cells_without_a_result_get_a_word() -> None:
    assert "1 of 5 cells have no result" in said(sweep(AXES), Absent("x", "failed", "why"))


def test_one_cell_gets_a_word() -> None:
    assert "One cell" in said(sweep({"norm": ["batch"]}))


def test_cells_that_find_nothing_get_a_word() -> None:
    some = {part: [0.5, 0.6, 0.7, 0.0, 0.6, 0.7] for part in ("train", "val", "test")}
    none = dict.fromkeys(some, [0.0] * 6)
    learnt = [result({"norm": "batch", "seed": seed}, some) for seed in (0, 1)]
    silent = [result({"norm": "group", "seed": seed}, none) for seed in (0, 1)]
    assert "no tumour" not in said(learnt)
    assert "1 of 3 cells find no tumour in any test patient (group-0)" in said([*learnt, silent[0]])
    assert "2 of 4 cells" in said([*learnt, *silent])


def test_one_seed_gets_a_word() -> None:
    assert "One seed" in said(sweep({"norm": ["batch", "group"]}))


def test_different_seeds_get_a_word() -> None:
    assert "different seeds" in said(sweep(AXES)[:-1])


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("git", "other", "2 code versions"),
        ("git", "abc-dirty", "no commit holds"),
        ("sessions", [{"from_epoch": 1}, {"from_epoch": 3}], "Trained in parts"),
        ("versions", {"torch": "9"}, "2 sets of package versions"),
        ("hardware", {"device": "a GPU"}, "2 machines"),
        ("data", {"fingerprint": "other"}, "2 different splits or data sets"),
    ],
)
def test_cells_that_were_not_made_alike_get_a_word(key: str, value: object, word: str) -> None:
    first, *rest = sweep({"norm": ["batch", "group"]})
    assert word in said([changed(first, **{key: value}), *rest])


def test_the_code_counts_and_not_its_revision_where_every_cell_knows_it() -> None:
    first, *rest = sweep({"norm": ["batch", "group"]})
    alike = [changed(each, source="abc") for each in rest]
    assert "code versions" not in said([changed(first, git="other", source="abc"), *alike])
    assert "2 code versions" in said([changed(first, source="xyz"), *alike])


def test_a_leak_gets_a_word() -> None:
    first, second = sweep({"split": ["patient", "slice"]})
    leaky = changed(second, split=second.metrics["split"] | {"leaky": True})
    assert "LEAKY split" in said([first, leaky])


def test_cells_without_test_scores_get_a_word() -> None:
    assert "no test scores" in said([result({"norm": n}, {"val": [0.5]}) for n in "ab"])


def test_folds_get_a_word() -> None:
    made = [
        result({"split.fold": k}, {"val": [0.5], "test": [0.5]}, names={"test": [f"a{k}"]})
        for k in range(3)
    ]
    assert "3 folds are pooled out of fold, each patient once" in said(made)
