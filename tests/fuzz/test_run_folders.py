"""Run folders in which something was changed: every command is right, or says what is wrong."""

import io
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainseg import status
from brainseg.evaluate import __main__ as evaluate
from brainseg.export import __main__ as export
from brainseg.report import __main__ as report
from brainseg.sweep import manifest
from brainseg.training.fit import fit
from tests.conftest import tiny_cell
from tests.fuzz.conftest import examples

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

FILES = (
    *("sweep.json", "a/metrics.json", "a/history.csv", "a/patients.csv", "a/split.json"),
    *("a/predictions.npz", "a/.hydra/config.yaml", "a/.hydra/hydra.yaml", "a/failed.json"),
    *("a/checkpoints/best.ckpt", "a/checkpoints/last.ckpt", "b/metrics.json", "b/history.csv"),
)
ODD: tuple[Any, ...] = (None, -1, 0, 1e300, float("nan"), "", "x", [], {}, True, ["a", 1])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "sweep"
    cells = [
        tiny_cell(folder / name, f"norm={norm}", "epochs=1", "trainer.precision=32-true")
        for name, norm in (("a", "batch"), ("b", "group"))
    ]
    for cell in cells:
        fit(cell, title=cell.folder.name)
    manifest.write(cells)
    return folder


def json_with(path: Path, number: int, value: Any) -> None:
    """One of the file's values, at any depth, is another, or gone."""
    content = json.loads(path.read_text())
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in items:
            places.append((node, key))
            if isinstance(child, dict | list):
                visit(child)

    visit(content)
    node, key = places[number % len(places)]
    if value == "gone":
        del node[key]
    else:
        node[key] = value
    path.write_text(json.dumps(content))


def text_with(path: Path, number: int, value: Any) -> None:
    """One word of a CSV or YAML file is another."""
    words = path.read_text().replace(",", " , ").split(" ")
    words[number % len(words)] = str(value)
    path.write_text(" ".join(words).replace(" , ", ","))


def change(path: Path, how: str, number: int, value: Any) -> None:
    if how == "value" and path.suffix == ".json":
        json_with(path, number, value)
    elif how == "value" and path.suffix in (".csv", ".yaml"):
        text_with(path, number, value)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[: number % max(path.stat().st_size, 1)])
    elif how == "flip":
        content = bytearray(path.read_bytes())
        content[number % len(content)] ^= 1 << number % 8
        path.write_bytes(bytes(content))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.unlink()


Command = Callable[[Path], tuple[Callable[..., Any], list[str]]]
COMMANDS: dict[str, Command] = {
    "status": lambda sweep: (status.main, [str(sweep)]),
    "status of a run": lambda sweep: (status.main, [str(sweep / "a")]),
    "report": lambda sweep: (report.main, [str(sweep)]),
    "export": lambda sweep: (export.main, [str(sweep / "a"), "--out", str(sweep.parent / "w")]),
    "evaluate": lambda sweep: (evaluate.main, [str(sweep / "a")]),
}


@settings(max_examples=examples("runs"))
@given(
    file=st.sampled_from(FILES),
    how=st.sampled_from(["value", "value", "cut", "flip", "empty", "gone", "folder"]),
    number=st.integers(0, 10**6),
    value=st.sampled_from([*ODD, "gone"]),
    command=st.sampled_from(sorted(COMMANDS)),
)
def test_a_changed_run_folder_is_read_right_or_named(
    sweep: Path, file: str, how: str, number: int, value: Any, command: str
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("brainseg.statistics.DRAWS", 50)
        for part in ("charts", "pictures"):
            patch.setattr(f"brainseg.evaluate.evaluation.{part}", lambda *_: {})
        here = Path(shutil.copytree(sweep, Path(name) / "sweep"))
        path = here / file
        if path.is_file():
            change(path, how, number, value)
        main, words = COMMANDS[command](here)
        out, err = io.StringIO(), io.StringIO()
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = main(words)
        except SystemExit as stop:
            code = stop.code
        said = err.getvalue() if not isinstance(code, str) else code
        assert "Traceback" not in out.getvalue() + said
        if code:
            assert said.strip(), (file, how, value)
