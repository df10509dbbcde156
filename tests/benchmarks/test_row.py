import json

import pytest
from rich.console import Console

from benchmarks.row import Row, at_least, at_most
from benchmarks.table import as_json, table


def printed(*rows: Row) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table(rows))
    return capture.get()


def test_the_ratio_is_the_median_of_what_was_measured_side_by_side() -> None:
    row = Row("ours", "theirs", "slices/s", ours=[10, 30, 8], theirs=[5, 10, 1])
    assert row.ratios == [2, 3, 8]
    assert row.ratio == 3


def test_a_limit_is_the_same_in_every_round() -> None:
    assert Row("a cell", "limit", "s", ours=[1, 2, 6], theirs=[4]).ratios == [0.25, 0.5, 1.5]


@pytest.mark.parametrize(
    ("target", "ratio", "met"),
    [
        (at_least(2), 2, True),
        (at_least(2), 1.99, False),
        (at_most(1.5), 1.5, True),
        (at_most(1.5), 1.51, False),
    ],
)
def test_a_target_is_met_up_to_its_bound(target: object, ratio: float, met: bool) -> None:
    row = Row("ours", "theirs", "s", [ratio], [1.0], target)  # type: ignore[arg-type]
    assert row.met is met
    assert ("yes" if met else "NO") in printed(row)


def test_a_row_without_a_target_only_informs() -> None:
    assert Row("ours", "theirs", "s", [1.0], [2.0]).met is None


def test_a_skipped_row_says_why_in_the_table_and_in_the_file() -> None:
    row = Row("ours", "MONAI UNet", skipped="monai is not installed")
    assert "skipped: monai is not installed" in printed(row)
    assert as_json(row)["skipped"] == "monai is not installed"


def test_a_table_can_be_pasted_as_markdown() -> None:
    lines = printed(Row("ours", "theirs", "s", [1.0, 2.0, 4.0], [2.0, 2.0, 2.0])).split("\n")
    cells = [[c.strip() for c in line.strip().strip("|").split("|")] for line in lines if line]
    filled = [row for row in cells if len(row) > 1]
    assert filled[0][:5] == ["what", "against", "ours", "theirs", "ratio"]
    assert set("".join(filled[1])) == {"-"}
    assert filled[2][2:5] == ["2 s", "2 s", "1.00 (0.50 to 2.00)"]


def test_a_row_survives_json() -> None:
    row = Row("ours", "theirs", "s", [3.0], [2.0], at_most(1))
    read = json.loads(json.dumps(as_json(row)))
    assert (read["ratio"], read["target"], read["met"]) == (1.5, "≤ 1", False)
