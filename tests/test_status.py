import os
import subprocess
import sys
from pathlib import Path

import pytest

from brainseg import status
from brainseg.runs.cell import Cell
from brainseg.runs.folder import FAILED
from brainseg.sweep.manifest import MANIFEST, write
from tests.conftest import tiny_cell
from tests.sweep.test_progress import held_by_another, write_history, write_metrics

NORMS = ("batch", "layer", "group", "instance")


@pytest.fixture
def sweep(tmp_path: Path) -> list[Cell]:
    cells = [tiny_cell(tmp_path / norm, f"norm={norm}", "epochs=4") for norm in NORMS]
    write(cells)
    write_metrics(cells[0].folder, dice=0.8125, epochs=4, seconds=60.0)
    write_history(cells[1].folder, [0.25, 0.5], 60.0)
    cells[2].folder.mkdir()
    (cells[2].folder / FAILED).write_text('{"reason": "no memory"}')
    return cells


def shown(cells: list[Cell], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert status.main([str(cells[0].folder.parent)]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_running_sweep_is_shown_with_its_cells_and_the_time_left(
    sweep: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    with held_by_another(sweep[1].folder.with_name(".layer.lock")):
        lines = shown(sweep, capsys)
    rows = {norm: next(line for line in lines if f" {norm} " in line) for norm in NORMS}
    assert "finished" in rows["batch"]
    assert "0.812" in rows["batch"]
    assert "0:04:03" in rows["batch"]
    assert "running" in rows["layer"]
    assert "2 of 4" in rows["layer"]
    assert "0.500" in rows["layer"]
    assert "failed: no memory" in rows["group"]
    assert "waiting" in rows["instance"]
    # 2 + 4 epochs of a minute, and twice 3 s of start and scoring
    assert lines[-1] == "1 of 4 cells finished, 1 running, 1 failed, 1 to go; about 0:06:06 left"


def test_cells_are_told_apart_by_what_differs_between_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("[flair]", "[pre,flair]")
    cells = [tiny_cell(tmp_path / f"cell{n}", f"data.modalities={m}") for n, m in enumerate(names)]
    write(cells)
    lines = shown(cells, capsys)
    assert "data.modalities" in lines[1]
    assert "['flair']" in next(line for line in lines if "cell0" in line)
    assert "['pre', 'flair']" in next(line for line in lines if "cell1" in line)


def test_where_no_process_is_at_it_the_command_that_resumes_is_shown(
    sweep: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    line, remedy = shown(sweep, capsys)[-2:]
    assert line.startswith("1 of 4 cells finished, 1 failed, 1 interrupted, 1 to go;")
    assert remedy == f"no process is at it now; resume with: {sweep[0].command}"


def test_between_two_cells_a_sweep_is_not_called_stopped(
    sweep: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    with held_by_another(sweep[0].folder.with_name(".lock")):
        assert shown(sweep, capsys)[-1].startswith("1 of 4 cells finished")


def test_time_left_is_unknown_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [tiny_cell(tmp_path / "cell")]
    write(cells)
    assert shown(cells, capsys)[-2] == "0 of 1 cells finished, 1 to go; time left unknown"


def test_a_finished_sweep_has_no_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [tiny_cell(tmp_path / "cell")]
    write(cells)
    write_metrics(cells[0].folder, 0.5, epochs=1, seconds=1.0)
    lines = shown(cells, capsys)
    assert lines[-1] == "1 of 1 cells finished"
    assert any("1 of 2, stopped early" in line for line in lines)


def test_a_single_run_has_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = tiny_cell(tmp_path / "outputs" / "run", "norm=layer")
    cell.claim()
    write_history(cell.folder, [0.5], 1.0)
    assert status.main([str(cell.folder)]) == 0
    out = capsys.readouterr().out
    assert "layer" in out
    assert "0 of 1 cells finished, 1 interrupted; about 0:00:01 left" in out


def test_watch_shows_it_again_until_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = tiny_cell(tmp_path / "cell")
    write([cell])
    waited = []

    def finish(seconds: float) -> None:
        waited.append(seconds)
        write_metrics(cell.folder, 0.5, epochs=2, seconds=1.0)

    monkeypatch.setattr("time.sleep", finish)
    assert status.main([str(tmp_path), "--watch", "7"]) == 0
    out = capsys.readouterr().out
    assert waited == [7.0]
    assert out.index("0 of 1 cells finished") < out.index("1 of 1 cells finished")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "brainseg.status", *words],
        cwd=folder,
        env=os.environ | {"FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_prints_no_colours_into_a_pipe(sweep: list[Cell]) -> None:
    folder = sweep[0].folder.parent
    done = run(folder.parent, folder.name)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "1 of 4 cells finished" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["empty"], "holds neither sweep.json nor .hydra/"),
        (["broken"], "sweep.json is broken"),
    ],
)
def test_bad_input_ends_in_one_line_and_status_2(
    words: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / MANIFEST).write_text("{")
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert message in line


@pytest.mark.parametrize("seconds", ["0", "-1", "often", "nan"])
def test_a_bad_interval_is_refused(
    seconds: str, sweep: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        status.main([str(sweep[0].folder.parent), f"--watch={seconds}"])
    assert stop.value.code == 2
    assert f"{seconds} must be a number of seconds > 0" in capsys.readouterr().err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        status.main(["--help"])
    assert stop.value.code == 0
    assert "example: python -m brainseg.status multirun/grid" in capsys.readouterr().out


def test_it_answers_without_torch_and_pandas() -> None:
    code = "import brainseg.status, sys; print({'torch', 'pandas', 'hydra'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
