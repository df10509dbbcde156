import contextlib
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brainseg.report.__main__ import main
from brainseg.report.configurations import pool
from brainseg.report.grids import heat_map
from brainseg.report.write import report
from tests.conftest import tiny_cell
from tests.report.synthetic import Truth, result, sweep, write

AXES = {"norm": ["batch", "group"], "loss": ["bce", "dice"], "epochs": [3, 5], "seed": [0, 1]}
FIGURES = (
    "leads",
    "heat-map",
    "effects",
    "curves",
    "patients",
    "subgroups",
)


class Page(HTMLParser):
    """What a browser would ask for, and the text that it would show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.alts: list[str] = []
        self.shown: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        self.asked += [about[name] or "" for name in ("src", "href") if name in about]
        if tag == "img":
            self.alts.append(about.get("alt") or "")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    folder = tmp_path_factory.mktemp("multirun") / "toy"
    truth = Truth(lambda levels: 0.1 * (levels["norm"] == "group"))
    write(sweep(AXES, truth), folder, listed=["layer-bce-3-0"])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main([str(folder)]) == 0
    return folder, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def made(printed: tuple[Path, str, str]) -> Path:
    return printed[0]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(sweep({"norm": ["batch", "group"]}), tmp_path / "small")


@pytest.fixture(scope="module")
def page(made: Path) -> Page:
    return Page((made / "report/report.html").read_text(encoding="utf-8"))


def test_every_form_of_the_report_is_written(made: Path) -> None:
    names = {path.name for path in (made / "report").iterdir()}
    assert names == {"report.html", "report.md", "runs.csv", "pairs.csv", "figures"}
    figures = {path.name for path in (made / "report/figures").iterdir()}
    assert figures == {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}


def test_the_page_needs_nothing_from_elsewhere(page: Page) -> None:
    assert len(page.alts) == len(FIGURES)
    assert all(page.alts)
    assert all(asked.startswith(("data:image/svg+xml", "#")) for asked in page.asked)
    assert page.open == []


def test_the_page_links_to_parts_that_it_has(made: Path, page: Page) -> None:
    text = (made / "report/report.html").read_text(encoding="utf-8")
    targets = [asked[1:] for asked in page.asked if asked.startswith("#")]
    assert targets
    assert all(f'id="{target}"' in text for target in targets)


def test_question_answer_and_table_come_first(page: Page) -> None:
    text = " ".join(" ".join(page.shown).split())
    places = [
        text.index(words)
        for words in (
            "by how much, and is it",
            "Chosen on validation: group",
            "In the order of val",
        )
    ]
    assert places == sorted(places)
    assert text.index("What the tests allow") > places[-1]


def test_a_cell_without_a_result_is_in_the_page_and_on_stderr(
    printed: tuple[Path, str, str], page: Page
) -> None:
    folder, out, err = printed
    assert "layer-bce-3-0" in page.shown
    assert err == "layer-bce-3-0 new: 0 of 9 epochs trained\n"
    assert out.startswith("Chosen on validation: group norm")
    assert out.endswith(f"{folder / 'report/report.html'}\n")


def test_accuracy_stands_beside_that_of_predicting_nothing(page: Page) -> None:
    share = sum(100 * (n + 1) for n in range(20)) / 20 / 100_000
    assert f"Predicting nothing has Dice 0 and accuracy {1 - share:.4f}." in " ".join(page.shown)


def test_the_page_tells_how_it_was_made(page: Page) -> None:
    text = " ".join(page.shown)
    for fact in ("python -m brainseg.train -m name=toy", "brainseg 0.1.0", "device a CPU"):
        assert fact in text
    for fact in ("fingerprint ffffffff", "python -m brainseg.report /", "P_train_00"):
        assert fact in text


def test_runs_has_a_row_per_cell_finished_or_not(made: Path) -> None:
    runs = pd.read_csv(made / "report/runs.csv")
    assert len(runs) == 17
    assert runs["state"].value_counts().to_dict() == {"finished": 16, "new": 1}
    first = pd.read_csv(made / runs["cell"][0] / "patients.csv")
    best = first[(first["checkpoint"] == "best") & (first["split"] == "test")]
    assert runs["best/test/dice"][0] == pytest.approx(best["dice"].mean())


def test_pairs_holds_every_comparison(made: Path) -> None:
    pairs = pd.read_csv(made / "report/pairs.csv")
    counts = pairs["family"].value_counts().to_dict()
    assert counts == {
        "winner": 7,
        "norm": 1,
        "loss": 1,
        "epochs": 1,
    }
    norm = pairs[pairs["family"] == "norm"].iloc[0]
    assert abs(norm["difference"]) == pytest.approx(0.1, abs=0.02)
    assert norm["verdict"] in ("ahead", "behind")
    assert (pairs["which"] == "last").sum() == 1


def test_markdown_links_to_figures_that_exist(made: Path) -> None:
    text = (made / "report/report.md").read_text(encoding="utf-8")
    links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert len(links) == len(FIGURES)
    assert all((made / "report" / link).is_file() for link in links)


def test_markdown_tables_have_equal_rows(made: Path) -> None:
    for block in (made / "report/report.md").read_text(encoding="utf-8").split("\n\n"):
        if block.startswith("| "):
            assert len({line.count(" | ") for line in block.splitlines() if "---" not in line}) == 1


def test_the_same_cells_give_the_same_report(small: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        report([small], out=tmp_path / name, command="same")
    first, second = ((tmp_path / n / "report.html").read_bytes() for n in ("one", "two"))
    assert first == second


def test_what_names_hold_is_shown_and_never_run(tmp_path: Path) -> None:
    word = "<script>alert(1)</script>"
    made = sweep({"norm": ["batch", word.replace("/", "")]})
    _, _, html = report([write(made, tmp_path / "toy")], command=word)
    text = html.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.slow
def test_cells_that_were_really_trained_are_reported(tmp_path: Path) -> None:
    from brainseg.training.fit import fit

    for norm in ("batch", "layer"):
        cell = tiny_cell(tmp_path / "toy" / norm, f"norm={norm}")
        fit(cell, title=norm)
    answer, absent, _ = report([tmp_path / "toy"])
    assert absent == []
    assert answer.startswith("Chosen on validation:")
    runs = pd.read_csv(tmp_path / "toy/report/runs.csv").set_index("norm")
    metrics = json.loads((tmp_path / "toy/layer/metrics.json").read_text())
    told = metrics["scores"]["last"]["test"]["iou"]
    assert runs.loc["layer", "last/test/iou"] == pytest.approx(told)


def test_two_sweeps_are_reported_together(tmp_path: Path) -> None:
    one = write(sweep({"norm": ["batch"], "seed": [0, 1]}), tmp_path / "one")
    two = write(sweep({"norm": ["group"], "seed": [0, 1]}, draw=1), tmp_path / "two")
    answer, _, _ = report([one, two], out=tmp_path / "both")
    assert "its lead over" in answer or "behind" in answer


def test_a_folder_that_is_no_sweep_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


def test_a_sweep_without_a_finished_cell_says_why_a_line_a_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(sweep({"norm": ["batch"]}), tmp_path / "toy", listed=["group"])
    (folder / "batch/metrics.json").write_text("{")
    assert main([str(folder)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("batch broken: ")
    assert "metrics.json is broken" in lines[0]
    assert lines[1].startswith("group new")


def test_a_folder_that_cannot_be_written_to_is_named(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main([str(small), "--out", str(tmp_path / "file")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path / 'file'} cannot be written to (")
    assert said.endswith("); give another folder with --out\n")


def test_the_same_difference_on_every_patient_can_be_drawn(tmp_path: Path) -> None:
    test = np.linspace(0.41, 0.79, 7)
    made = [
        result({"norm": norm}, {"val": [0.9 - more], "test": test - more})
        for norm, more in (("batch", 0.0), ("group", 0.1), ("layer", 0.3))
    ]
    answer, _, _ = report([write(made, tmp_path / "toy")])
    assert "0.100 (0.100 to 0.100)" in answer


def test_one_cell_and_one_patient_still_give_a_report(tmp_path: Path) -> None:
    folder = write(sweep({"norm": ["batch"]}, Truth(tested=1)), tmp_path / "toy")
    answer, _, html = report([folder])
    assert "one patient, no interval" in answer
    assert html.is_file()


def test_the_command_runs_from_another_folder_and_imports_no_torch(small: Path) -> None:
    code = (
        "import sys; from brainseg.report.__main__ import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 3 * ('torch' in sys.modules or 'lightning' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "small"],
        cwd=small.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (small / "report/report.html").is_file()


def test_what_a_figure_leaves_out_is_said(tmp_path: Path) -> None:
    axes: dict[str, list[Any]] = {"norm": ["batch", "group"], "loss": ["bce", "dice", "iou"]}
    axes |= {"epochs": [10, 20, 40, 60, 80], "model.width": [16, 32]}
    results = sweep(axes)
    figure = heat_map(pool(results), list(axes))
    assert figure is not None
    assert len(figure.axes) == 5
    assert len({axis.get_position().y0 for axis in figure.axes}) == 2  # panels keep their width
    folder = write(results, tmp_path / "large")
    report([folder])
    text = (folder / "report/report.md").read_text()
    assert "The first 20 of 59 configurations." in text
    assert "The first 3 of 4 factors." in text
    assert "; over model.width it is the mean." in text
