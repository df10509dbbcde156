import json
from pathlib import Path

from brainseg.runs.cell import Cell
from brainseg.sweep.table import results, text, varied_keys
from tests.conftest import tiny_cell
from tests.sweep.test_progress import SPLIT, write_metrics


def finished_cell(folder: Path, dice: float, *overrides: str) -> Cell:
    cell = tiny_cell(folder, *overrides)
    write_metrics(folder, dice, epochs=3, seconds=1.0)
    return cell


def column(cells: list[Cell], name: str) -> list[str]:
    table = results(cells)
    return [str(c) for each in table.columns if each.header == name for c in each.cells]


def test_the_table_is_sorted_by_val_dice_with_the_failed_ones_named_last(tmp_path: Path) -> None:
    failed = tiny_cell(tmp_path / "failed", "loss=iou")
    failed.found().keep_failure("no memory")
    low = finished_cell(tmp_path / "low", 0.25)
    high = finished_cell(tmp_path / "high", 0.75)
    cells = [failed, low, high]
    assert column(cells, "folder") == ["high", "low", "failed"]
    assert column(cells, "val Dice") == ["0.750", "0.250", ""]
    assert column(cells, "state") == ["finished", "finished", "failed: no memory"]


def test_the_table_shows_what_else_differs(tmp_path: Path) -> None:
    cells = [
        finished_cell(tmp_path / str(lr), lr, f"optimizer.lr={lr}", "norm=batch")
        for lr in (0.1, 0.2)
    ]
    assert varied_keys(cells) == ["optimizer.lr"]
    assert column(cells, "optimizer.lr") == ["0.2", "0.1"]


def test_a_group_that_differs_stands_for_its_keys(tmp_path: Path) -> None:
    cells = []
    for sampler in ("uniform", "tumour"):
        cell = tiny_cell(tmp_path / sampler, f"sampler={sampler}")
        known = {"sampler": sampler, "trainer": "cpu" if cells else "auto"}  # one and the same cell
        cells.append(Cell(cell.config, cell.choices | known, cell.folder, ""))
    assert varied_keys(cells) == ["sampler"]


def test_norm_loss_epochs_and_seed_are_no_news(tmp_path: Path) -> None:
    cells = [tiny_cell(tmp_path / "a"), tiny_cell(tmp_path / "b", "norm=layer", "seed=1")]
    assert varied_keys(cells) == []


def test_a_leaky_split_is_named_in_the_table(tmp_path: Path) -> None:
    cell = finished_cell(tmp_path / "leak", 0.9)
    path = cell.folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"split": SPLIT | {"leaky": True}}))
    assert column([cell], "state") == ["LEAKY split"]


def test_brackets_in_a_reason_are_no_markup(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "cell")
    cell.found().keep_failure("/scans/a[/b]/c.tif is broken")
    assert "/scans/a[/b]/c.tif is broken" in text(results([cell])).replace("\n", "")
