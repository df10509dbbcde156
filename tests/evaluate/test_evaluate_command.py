import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import brainseg
from brainseg.evaluate import __main__ as command
from tests.evaluate.conftest import Train

HALF = '{"split": {"leaky": false}, "data": {"fingerprint": "a"}}'


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that the command ends with."""
    assert command.main([str(word) for word in words]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert captured.out == ""
    return lines[0]


@pytest.mark.slow
def test_the_command_runs_from_another_folder(copy: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(brainseg.__file__).parent.parent)}
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "brainseg.evaluate", "../copy", "--split", "val", "--tta"],
        cwd=tmp_path / "elsewhere",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{copy.resolve()}/evaluate/val-best/card.md"
    assert (copy / "evaluate" / "val-best" / "card.md").is_file()


def test_the_command_prints_the_headline_and_where_the_card_lies(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(copy), "--split", "test"]) == 0
    headline, where = capsys.readouterr().out.splitlines()[-2:]
    card = json.loads(Path(where).with_suffix(".json").read_text())
    dice = card["regions"]["tumour"]["overlap"]["patient"]["dice"]
    assert headline == (
        f"Dice by patient {dice['value']:.3f} "
        f"(95 % interval {dice['low']:.3f} to {dice['high']:.3f})"
    )
    assert Path(where) == copy / "evaluate" / "test-best" / "card.md"


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no folder" in refused(capsys, tmp_path / "none")
    assert "is no run folder" in refused(capsys, tmp_path)


def test_a_sweep_is_refused_and_its_cells_are_named(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, copy.parent)
    assert "is a sweep" in line
    assert "such as copy" in line


def test_an_unfinished_run_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "metrics.json").unlink()
    assert "is not finished" in refused(capsys, copy)


@pytest.mark.parametrize(
    "content",
    ["{", "", "{}", "[1]", '{"split": 1}', '{"split": {}}', HALF],
)
def test_a_broken_metrics_file_is_named(
    copy: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (copy / "metrics.json").write_text(content)
    assert "metrics.json is broken" in refused(capsys, copy)


def test_a_missing_checkpoint_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "checkpoints" / "last.ckpt").unlink()
    line = refused(capsys, copy, "--checkpoint", "last")
    assert "last.ckpt does not exist; try --checkpoint best" in line


def test_a_broken_checkpoint_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "checkpoints" / "best.ckpt").write_bytes(b"half")
    assert "best.ckpt is broken, or no checkpoint" in refused(capsys, copy)


@pytest.mark.parametrize("part", ["data", "split", "optimizer", "scheduler", "model"])
def test_a_checkpoint_whose_configuration_names_foreign_code_is_refused(
    copy: Path, capsys: pytest.CaptureFixture[str], part: str, tmp_path: Path
) -> None:
    import torch

    path, trap = copy / "checkpoints" / "best.ckpt", tmp_path / "trap"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["config"][part] = {"_target_": "os.mkdir", "_args_": [str(trap)]}
    torch.save(checkpoint, path)
    assert "os.mkdir" in refused(capsys, copy)
    assert not trap.exists()


def test_a_run_that_is_given_twice_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is given twice" in refused(capsys, run, run / ".." / run.name)


def test_runs_of_different_splits_are_refused(
    run: Path, train: Train, capsys: pytest.CaptureFixture[str], strangers: Path, tmp_path: Path
) -> None:
    other = train("split.seed=1", "epochs=1")
    assert "differ in more than split and seed (epochs: 4 -> 1)" in refused(capsys, run, other)
    out = tmp_path / "out"
    words = [run, other, "--root", strangers, "--split", "all", "--out", out]
    assert command.main([str(word) for word in words]) == 0
    assert json.loads((out / "card.json").read_text())["regions"]["tumour"]["threshold"] is None


def test_a_root_without_scans_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, run, "--root", tmp_path, "--split", "all")
    assert f"--root {tmp_path} holds no scans" in line


@pytest.mark.parametrize(
    "words",
    [
        ["--split", "dev"],
        ["--tolerance", "-1"],
        ["--tolerance", "nan"],
        ["--spacing", "5", "1", "0"],
        ["--spacing", "5", "1"],
        ["--checkpoint", "first"],
    ],
)
def test_options_out_of_range_are_refused(
    run: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main([str(run), *words])
    assert stopped.value.code == 2
    assert f"error: argument {words[0]}" in capsys.readouterr().err


def test_an_interrupt_writes_nothing_and_says_so(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("brainseg.evaluate.evaluation.measure", stop)
    assert command.main([str(copy)]) == 130
    assert capsys.readouterr().err.strip() == "interrupted; nothing was written"
    assert [path.name for path in (copy / "evaluate").iterdir()] == [".test-best.lock"]


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_predicted(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("brainseg.evaluate.evaluation.measure", lambda *_: pytest.fail("predicted"))
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "out", tmp_path / ("n" * 250)):
        line = refused(capsys, run, "--out", out)
        assert f"{out} cannot be written" in line
        assert "give another with --out" in line


def test_a_link_and_a_relative_out_are_followed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert command.main([str(run), "--out", str(tmp_path / "link")]) == 0
    assert (tmp_path / "link").is_symlink()
    monkeypatch.chdir(tmp_path / "real")
    assert command.main([str(run), "--out", "."]) == 0
    assert (tmp_path / "real" / "card.md").is_file()


def test_names_with_odd_characters_are_written(
    copy: Path, strangers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = strangers.rename(tmp_path / "s${y}")
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xfcller"))
    words = [copy, "--root", odd, "--split", "all", "--out", out]
    assert command.main([str(word) for word in words]) == 0
    assert r"m\xfcller/card.md" in capsys.readouterr().out
    assert "s${y}" in (out / "card.md").read_text()
