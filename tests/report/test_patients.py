import pytest

from brainseg.report.configurations import pool
from brainseg.report.patients import hard, subgroups
from tests.report.synthetic import result

DICE = {"a": [0.2, 0.9, 0.5, 0.6], "b": [0.4, 0.9, 0.5, 0.0]}
NAMES = {"test": [f"TCGA_XX_{n}_2000" for n in range(4)]}


def two() -> list:  # type: ignore[type-arg]
    made = [
        result({"norm": norm}, {"val": [0.9 - k / 10], "test": dice}, names=NAMES)
        for k, (norm, dice) in enumerate(DICE.items())
    ]
    return pool(made)


def test_the_hardest_patient_comes_first() -> None:
    table = hard(two())
    assert list(table["mean"]) == pytest.approx([0.3, 0.3, 0.5, 0.9])
    assert table.loc["TCGA_XX_0_2000", "mean"] == pytest.approx(0.3)
    assert table["disagreement"].idxmax() == "TCGA_XX_3_2000"
    assert table.loc["TCGA_XX_3_2000", "disagreement"] == pytest.approx(0.3)


def test_subgroups_by_hand() -> None:
    table = subgroups(two()).set_index(["about", "level"])
    assert table.loc[("institution", "A"), "patients"] == 2  # every other patient
    assert table.loc[("institution", "A"), "winner"] == pytest.approx((0.2 + 0.5) / 2)
    assert table.loc[("institution", "A"), "all"] == pytest.approx((0.2 + 0.5 + 0.4 + 0.5) / 4)
    assert table.loc[("tumour size", "3 large"), "winner"] == pytest.approx(0.6)
    assert table.loc["tumour size", "patients"].sum() == 4


def test_a_missing_sequence_is_a_subgroup_where_the_cells_tell_it() -> None:
    made = result({}, {"val": [0.5], "test": [0.1, 0.5]})
    made.patients["missing"] = ["", "pre", "", "pre", None, "pre"][: len(made.patients)]
    found = subgroups(pool([made])).set_index("about")
    assert "missing sequence" in found.index
    assert "missing sequence" not in subgroups(two())["about"].to_list()
