from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brainseg.report.configurations import pool
from brainseg.report.patients import hard, read_clinical, subgroups
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


def test_clinical_columns_are_matched_without_the_date(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    ages = pd.DataFrame(
        {"Patient": ["TCGA_XX_0", "TCGA_XX_1", "TCGA_XX_2"], "grade": [1, 2, np.nan]}
    )
    ages.to_csv(path, index=False)
    table = subgroups(two(), read_clinical(path)).set_index(["about", "level"])
    assert table.loc[("grade", "1"), "winner"] == pytest.approx(0.2)
    assert table.loc[("grade", "2"), "winner"] == pytest.approx(0.9)
    assert table.loc[("grade", "unknown"), "patients"] == 2


def test_a_clinical_number_with_many_values_is_cut_at_its_median(tmp_path: Path) -> None:
    names = {"test": [f"P_{n}" for n in range(8)]}
    made = pool([result({}, {"val": [0.5], "test": np.arange(8) / 10}, names=names)])
    table = pd.DataFrame({"age": range(30, 38)}, index=[f"P_{n}" for n in range(8)])
    found = subgroups(made, table).set_index(["about", "level"])
    assert found.loc[("age", "<= 33.5"), "winner"] == pytest.approx(0.15)
    assert found.loc[("age", "> 33.5"), "winner"] == pytest.approx(0.55)


def test_a_missing_sequence_is_a_subgroup_where_the_cells_tell_it() -> None:
    made = result({}, {"val": [0.5], "test": [0.1, 0.5]})
    made.patients["missing"] = ["", "pre", "", "pre", None, "pre"][: len(made.patients)]
    found = subgroups(pool([made])).set_index("about")
    assert "missing sequence" in found.index
    assert "missing sequence" not in subgroups(two())["about"].to_list()


@pytest.mark.parametrize("content", ["", "Patient,a\nx,1\nx,2\n"])
def test_a_clinical_file_that_cannot_be_used_is_refused_by_name(
    content: str, tmp_path: Path
) -> None:
    path = tmp_path / "data.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"data\.csv"):
        read_clinical(path)
