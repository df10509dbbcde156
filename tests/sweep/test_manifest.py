from pathlib import Path

import pytest

from brainseg.sweep.manifest import MANIFEST, Listed, read, write
from tests.conftest import tiny_cell


def test_the_cells_are_listed_in_the_order_of_training(tmp_path: Path) -> None:
    cells = [
        tiny_cell(tmp_path / "b", "norm=layer", "epochs=3"),
        tiny_cell(tmp_path / "a", "loss=dice", "epochs=5", "seed=7"),
    ]
    write(cells)
    manifest = read(tmp_path)
    assert manifest.folder == tmp_path
    assert manifest.command == cells[0].command
    assert list(manifest.cells.items()) == [
        ("b", Listed("layer", "bce_dice", 3, 0, command=cells[0].command)),
        ("a", Listed("batch", "dice", 5, 7, command=cells[0].command)),
    ]


def test_a_cell_that_continues_a_shorter_one_names_it(tmp_path: Path) -> None:
    e2, e4, e6 = (tiny_cell(tmp_path / f"e{n}", f"epochs={n}") for n in (2, 4, 6))
    write([e4, e6], finished=[e2])
    listed = read(tmp_path).cells
    told = {name: (cell.continues, cell.begins) for name, cell in listed.items()}
    assert told == {"e4": ("e2", e2.in_common), "e6": ("e4", e4.in_common)}


def test_cells_of_an_earlier_command_stay_listed(tmp_path: Path) -> None:
    first, second, third = (tiny_cell(tmp_path / f"s{n}", f"seed={n}") for n in range(3))
    write([first, second])
    write([third, second])
    assert list(read(tmp_path).cells) == ["s0", "s2", "s1"]


def test_what_differs_between_the_cells_is_listed_and_not_forgotten(tmp_path: Path) -> None:
    cells = [
        tiny_cell(tmp_path / f"fold{n}", f"split.fold={n}", "data.modalities=[flair]")
        for n in range(2)
    ]
    write(cells)
    write([cells[1]], refused="not its folder")  # as one that is alone, whose others it cannot know
    listed = read(tmp_path).cells
    assert listed["fold1"].refused
    told = {name: cell.varied for name, cell in listed.items()}
    assert told == {"fold0": {"split.fold": "0"}, "fold1": {"split.fold": "1"}}


BROKEN = ["", "{", "[]", "{}", '{"command": "x", "cells": []}', '{"cells": {"a": {"norm": "b"}}}']


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_refused_in_one_line_that_names_it(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=r"sweep\.json is broken") as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_does_not_keep_a_sweep_from_starting(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / MANIFEST).write_text(text)
    write([tiny_cell(tmp_path / "cell")])
    assert list(read(tmp_path).cells) == ["cell"]
    assert "sweep.json is broken" in caplog.text


def test_a_single_run_is_a_sweep_of_one(tmp_path: Path) -> None:
    cell = tiny_cell(tmp_path / "run", "norm=layer", "seed=5")
    cell.claim()
    manifest = read(cell.folder)
    assert manifest.folder == tmp_path
    assert manifest.cells == {"run": Listed("layer", "bce_dice", 2, 5)}


@pytest.mark.parametrize("text", ["", "a: [", "seed: 1", "- 1"])
def test_a_single_run_with_a_broken_configuration_is_refused(text: str, tmp_path: Path) -> None:
    tiny_cell(tmp_path / "run").claim()
    (tmp_path / "run/.hydra/config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"run/\.hydra/config\.yaml is broken") as error:
        read(tmp_path / "run")
    assert "\n" not in str(error.value)


def test_a_folder_that_is_missing_or_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds neither"):
        read(tmp_path)
