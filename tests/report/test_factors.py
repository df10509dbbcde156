from dataclasses import replace

from brainseg.report.factors import level_order, levels, phrase
from tests.report.synthetic import result, sweep


def test_factors_are_the_keys_that_differ_and_nothing_else() -> None:
    made = sweep({"norm": ["batch", "group"], "optimizer.lr": [1e-3, 1e-4], "seed": [0, 1]})
    assert levels(made)[0] == {"norm": "batch", "optimizer.lr": "0.001"}
    assert levels(made)[-1] == {"norm": "group", "optimizer.lr": "0.0001"}


def test_any_key_can_be_a_factor() -> None:
    made = sweep({"model.net.width": [16, 32], "epochs": [5, 10]})
    assert list(levels(made)[0]) == ["epochs", "model.net.width"]


def test_a_group_stands_for_the_keys_that_come_with_its_option() -> None:
    dice = {"val": [0.5], "test": [0.5]}
    first = result({"sampler.share": 0.5}, dice)
    second = result({"sampler.other": 3}, dice)
    made = [
        replace(first, choices=first.choices | {"sampler": "tumour"}),
        replace(second, choices=second.choices | {"sampler": "uniform"}),
    ]
    assert levels(made) == [{"sampler": "tumour"}, {"sampler": "uniform"}]


def test_a_key_that_differs_within_one_option_is_a_factor_of_its_own() -> None:
    dice = {"val": [0.5], "test": [0.5]}
    made = [
        result({"norm": "group", "norm.groups": 4}, dice),
        result({"norm": "group", "norm.groups": 8}, dice),
        result({"norm": "batch"}, dice),
    ]
    assert [each["norm"] for each in levels(made)] == ["group", "group", "batch"]
    assert [each["norm.groups"] for each in levels(made)] == ["4", "8", "(absent)"]


def test_seeds_and_folds_are_replicates_not_factors() -> None:
    made = sweep({"split.fold": [0, 1], "seed": [0, 1]})
    assert levels(made) == [{}] * 4


def test_paths_and_devices_are_no_factors() -> None:
    made = sweep({"norm": ["batch"], "data.root": ["/a", "/b"], "trainer.accelerator": ["cpu"]})
    assert levels(made) == [{}, {}]


def test_no_two_levels_are_written_alike() -> None:
    found = levels(sweep({"split.seed": [20190601, 20190602], "a.b": [1.0, 1.0000001]}))
    assert {each["split.seed"] for each in found} == {"20190601", "20190602"}
    assert {each["a.b"] for each in found} == {"1", "1.0000001"}
    assert levels(sweep({"norm": ["batch"], "a.b": [0, 0.0]})) == [{}, {}]


def test_levels_that_are_numbers_are_ordered_by_size() -> None:
    assert level_order("epochs", ["100", "50", "100", "9"]) == ["9", "50", "100"]
    assert level_order("norm", ["layer", "batch", "layer"]) == ["layer", "batch"]


def test_a_configuration_in_words() -> None:
    chosen = {"norm": "group", "loss": "bce_dice", "epochs": "100", "optimizer.lr": "0.001"}
    assert phrase(chosen) == "group norm with bce_dice, 100 epochs, optimizer.lr 0.001"
    assert phrase({"norm": "none"}) == "no norm"
    assert phrase({"epochs": "50"}) == "50 epochs"
