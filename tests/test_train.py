"""The commands, run as a user would run them, from another folder."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from _pytest.mark import ParameterSet
from omegaconf import OmegaConf

from brainseg import train
from brainseg.sweep.end import Watch
from tests.conftest import TINY
from tests.forked import Commands

FAST = [word for word in TINY if not word.startswith("epochs")]


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with contextlib.closing(Commands()) as server:
        yield server


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "brainseg.train", *FAST, *words]  # also -m behind overrides


def run(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def slow(words: list[str], message: str) -> ParameterSet:
    return pytest.param(words, message, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def sweep(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("elsewhere")
    words = ["-m", "norm=batch,layer", "loss=bce", "optimizer.lr=0.001,1e30", "name=mini"]
    return folder, run(folder, *words, "epochs=2", "report=true")


@pytest.mark.slow
def test_a_sweep_trains_every_cell_in_a_folder_of_its_own(
    sweep: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = sweep
    for norm in ("batch", "layer"):
        (cell,) = folder.glob(f"multirun/mini/{norm}-bce-e2-s0-*/metrics.json")
        assert json.loads(cell.read_text())["norm"] == norm
    assert "cell 3 of 4" in done.stdout
    assert "epoch 2 of 2" in done.stdout
    assert "left" in done.stdout


@pytest.mark.slow
def test_a_failed_cell_stops_no_other_and_is_named_and_the_exit_status_says_so(
    sweep: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = sweep
    assert done.returncode == 1
    assert len(list(folder.glob("multirun/mini/*/failed.json"))) == 2
    assert "2 of 4 cells failed" in done.stdout
    assert "Chosen on validation: " in done.stdout
    assert (folder / "multirun/mini/report/report.html").is_file()
    assert "the loss was not finite in epoch 1, step" in done.stdout
    assert any("2 of 4 cells failed" in x and "name=mini" in x for x in done.stdout.splitlines())
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_lightning_reaches_the_log_of_the_cell_and_not_the_console(
    sweep: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = sweep
    logs = [path.with_name("train.log") for path in folder.glob("multirun/mini/*/metrics.json")]
    assert len(logs) == 2
    assert all("`Trainer.fit` stopped" in log.read_text() for log in logs)
    assert "Trainer" not in done.stdout


@pytest.mark.slow
def test_the_same_command_skips_finished_cells_and_retries_failed_ones(
    sweep: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = sweep
    before = {p: p.stat().st_mtime_ns for p in folder.glob("multirun/mini/*/metrics.json")}
    words = ["-m", "norm=batch,layer", "loss=bce", "optimizer.lr=0.001,1e30", "name=mini"]
    done = run(folder, *words, "epochs=2")
    assert done.stdout.count("finished before, skipped") == 2
    assert before == {p: p.stat().st_mtime_ns for p in folder.glob("multirun/mini/*/metrics.json")}


def test_a_single_run_writes_its_folder_and_prints_its_scores(tmp_path: Path) -> None:
    done = run(tmp_path, "epochs=1", "name=one", "split=slice")
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((tmp_path / "outputs/one/metrics.json").read_text())
    assert metrics["split"]["leaky"]
    assert "LEAKY" in done.stdout
    assert len(pd.read_csv(tmp_path / "outputs/one/history.csv")) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epochs=0"], "epochs=0 must be a whole number >= 1"),
        (["-m", "jobs=0"], "jobs=0 must be auto or a whole number >= 1"),
        slow(["optimizer.lr=-1"], "optimizer.lr=-1 must be a number > 0"),
        slow(["nrom=batch"], "Could not override 'nrom'"),
        slow(["norm=bacth"], "Could not find 'norm/bacth'"),
        (["-m", "norm=batch,bacth"], "Could not find 'norm/bacth'"),
        (["-m", "epochs=1,0"], "epochs=0 must be"),
        slow(["-m", "epochs=1,abc"], "epochs='abc' must be"),
        (["force=maybe"], "force='maybe' must be true or false"),
        slow(["plan=maybe"], "plan='maybe' must be true or false"),
        slow(["report=maybe"], "report='maybe' must be true or false"),
        slow(["question=3"], "question=3 must be null or words"),
        slow(["limit=-1"], "limit=-1 must be null or a number of hours > 0"),
        (["name="], "name= must be a plain folder name"),
        slow(["name=../x"], "name=../x must be a plain folder name"),
        slow(["name=a/../../x"], "name=a/../../x must be a plain folder name"),
        slow(["-m", "name=a,b"], "name=a,b must be a plain folder name"),
    ],
)
def test_bad_input_ends_in_one_line_and_a_non_zero_status(
    words: list[str], message: str, tmp_path: Path
) -> None:
    done = run(tmp_path, *words)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["epochs=0"],
        ["data.root=/dev/null/x"],
        ["split.fold=7"],
        ["+data.eopchs=3"],
        ["-m", "epochs=0,1"],
        ["-m", "workers=0,1"],
        ["-m", "data.root=/dev/null/x"],
    ],
    ids=" ".join,
)
def test_what_is_refused_before_it_begins_leaves_nothing(
    words: list[str], commands: Commands, tmp_path: Path
) -> None:
    done = run(tmp_path, *words) if "-m" in words else commands.run(tmp_path, *FAST, *words)
    assert done.returncode == 1
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.slow
def test_flags_may_stand_anywhere(tmp_path: Path) -> None:
    done = run(tmp_path, "epochs=1", "-m", "norm=batch,group", "plan=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "group-bce_dice-e1-s0" in done.stdout


@pytest.mark.slow
def test_a_question_with_a_comma_is_kept_whole_or_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "question=Which norm, batch or group?", "plan=true")
    assert done.returncode == 1
    assert "cannot be swept" in done.stdout
    done = run(tmp_path, "-m", "question='Which norm, batch or group?'", "plan=true")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_signal_to_the_process_group_is_an_interruption(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("workers=2", "epochs=500", "name=a"),
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not (tmp_path / "outputs/a/history.csv").is_file() and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)  # as timeout, scancel and containers send it
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "interrupted; the epoch under way is lost" in said.splitlines()[-1]
    assert not (tmp_path / "outputs/a/failed.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["norm=group", "norm.groups=5"], "groups=5 must divide channels=8"),
        (["+data.eopchs=3"], "unexpected keyword argument 'eopchs'; leave it out, or correct"),
        (["split.seed=-1"], "seed=-1 must be a whole number >= 0; set split.seed"),
        (["data.size=1000000"], "data.size=1000000; must be a whole number of pixels, at most"),
        (["model.net.depth=20"], "depth=20 must be within 1 and 8"),
        (["model.net.depth=5"], "data.size=32 must be at least 64"),
        (["batch_size=4000"], "batch_size=4000 must not be above"),
        (["data.reader.patients=2"], "patients=2 must be"),
        (["split.fold=7"], "fold=7 must be"),
        (["data.modalities=[t1]"], "must be some of pre, flair, post"),
        (["trainer=gpu"], "gpu needs a CUDA GPU"),
        (
            ["model.net.upsample=nearest"],
            "upsample='nearest' must be one of ['transposed', 'bilinear']",
        ),
        (["loss.smooth=0"], "smooth=0 must be above 0"),
    ],
)
def test_values_that_do_not_fit_end_in_one_line(
    words: list[str], message: str, commands: Commands, tmp_path: Path
) -> None:
    done = commands.run(tmp_path, *FAST, *words, "epochs=1")
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert len([line for line in done.stdout.splitlines() if message in line]) == 1


def test_help_names_groups_options_and_keys(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "brainseg.train", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    for word in ("norm: batch, group", "loss: bce", "epochs: 50", "name=..."):
        assert word in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("multirun", [False, True])
@pytest.mark.parametrize(
    ("sign", "status", "times"),
    [(signal.SIGINT, 130, 1), (signal.SIGTERM, 143, 1), (signal.SIGINT, 130, 2)],
)
def test_an_interrupt_prints_the_command_that_resumes(
    sign: signal.Signals, status: int, times: int, multirun: bool, tmp_path: Path
) -> None:
    words = (["-m", "seed=0,1"] if multirun else []) + ["epochs=500", "name=long"]
    with subprocess.Popen(
        command(*words),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        # a shell's background jobs, such as a CI's, ignore Ctrl-C and hand that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while not list(tmp_path.rglob("last.ckpt")):
            assert process.poll() is None
            time.sleep(0.1)
        for _ in range(times):  # the impatient press Ctrl-C twice
            process.send_signal(sign)
            time.sleep(0.2)
        out, _ = process.communicate(timeout=60)
    if times == 2:  # the second may find it on its way out
        assert process.returncode != 0
        return
    assert process.returncode == status
    resume = [line for line in out.splitlines() if "resume with: python -m brainseg.train" in line]
    assert "name=long" in resume[-1]
    assert not list(tmp_path.rglob("failed.json"))


@pytest.mark.slow
def test_of_two_identical_sweeps_at_once_the_second_waits_and_trains_no_cell_again(
    tmp_path: Path,
) -> None:
    words = ["-m", "seed=0,1", "epochs=3", "name=twin"]
    pair = [
        subprocess.Popen(command(*words), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outs = [process.communicate(timeout=300)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    both = "".join(outs)
    assert both.count("twin is being trained by another process; waiting") == 1
    assert both.count("epoch 1 of 3") == 2
    assert both.count("finished before, skipped") == 2


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs a folder that root cannot write")
@pytest.mark.parametrize("multirun", [[], ["-m"]], ids=["single", "sweep"])
def test_a_folder_that_cannot_be_written_ends_in_one_line(
    multirun: list[str], tmp_path: Path
) -> None:
    done = run(tmp_path, *multirun, "hydra.run.dir=/proc/runs", "hydra.sweep.dir=/proc/runs")
    assert done.returncode != 0
    assert "/proc/runs" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len((done.stdout + done.stderr).strip().splitlines()) == 1


@pytest.mark.slow
def test_a_full_disk_ends_in_one_line_and_then_the_run_resumes(tmp_path: Path) -> None:
    def full() -> None:
        limit = 300 * 2**10
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    words = ["epochs=2", "name=full", "callbacks.panel=null"]
    done = subprocess.run(
        command(*words),
        cwd=tmp_path,
        preexec_fn=full,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert done.stdout.strip().splitlines()[-1].count("free space on its disk") == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert run(tmp_path, *words).returncode == 0
    assert json.loads((tmp_path / "outputs/full/metrics.json").read_text())["epochs"] == 2


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the cell in /proc")
@pytest.mark.parametrize("victim", ["sweep", "cell"])
def test_what_is_killed_leaves_no_process_behind(victim: str, tmp_path: Path) -> None:
    words = ["-m", "seed=0,1", "epochs=400", "workers=2", "name=killed", "limit=0.005"]
    process = subprocess.Popen(command(*words), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    while not list(tmp_path.rglob("last.ckpt")):
        assert process.poll() is None
        time.sleep(0.1)
    (folder,) = (path.parents[1] for path in tmp_path.rglob("last.ckpt"))
    if victim == "sweep":
        process.kill()
    else:
        os.kill(holder(folder.with_name(f".{folder.name}.lock")), signal.SIGKILL)
    # all that it started has its standard output, which is closed when the last of them has ended
    out, _ = process.communicate(timeout=60)
    assert ("killed by SIGKILL" in out) == (victim == "cell")


def holder(lock: Path) -> int:
    inode = str(lock.stat().st_ino)
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[5].split(":")[-1] == inode:
            return int(words[4])
    raise AssertionError(f"nobody holds {lock}")


@pytest.mark.slow
@pytest.mark.parametrize("multirun", [True, False], ids=["sweep", "single"])
def test_a_plan_names_every_cell_and_trains_nothing(multirun: bool, tmp_path: Path) -> None:
    words = ["-m", "seed=0,1", "epochs=2,3"] if multirun else ["epochs=3"]
    done = run(tmp_path, *words, "name=paper", "plan=true")
    assert done.returncode == 0, done.stdout + done.stderr
    cells, epochs = (4, 8) if multirun else (1, 3)  # of 2 epochs the first is that of 3
    assert f"{cells} of {cells} cells to train, {epochs} epochs; time unknown" in done.stdout
    assert done.stdout.count("continues from") == (2 if multirun else 0)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"train.log", "multirun.yaml"}  # of the command, not of a cell


@pytest.mark.slow
def test_status_follows_a_sweep_from_another_terminal(tmp_path: Path) -> None:
    words = ["-m", "seed=0,1", "epochs=200", "name=long"]

    def status() -> str:
        return subprocess.run(
            [sys.executable, "-m", "brainseg.status", "multirun/long"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    with subprocess.Popen(command(*words), cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        while not list(tmp_path.rglob("last.ckpt")):
            assert process.poll() is None
            time.sleep(0.1)
        shown = status()
        process.send_signal(signal.SIGTERM)
    assert "0 of 2 cells finished, 1 running, 1 to go; about 0:" in shown
    assert " of 200" in shown
    assert "resume with: python -m brainseg.train" in status()


@pytest.mark.slow
def test_a_sweep_needs_neither_git_nor_utf8_nor_a_console(tmp_path: Path) -> None:
    plain = {"PATH": str(tmp_path), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ["-m", "seed=0", "epochs=1", "name=bare", "limit=1000"]
    with subprocess.Popen(
        command(*words),
        cwd=tmp_path,
        env=os.environ | plain,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="ascii",
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()  # as `| head -1` does
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    (path,) = tmp_path.rglob("metrics.json")
    assert json.loads(path.read_text())["git"] is None
    again = run(tmp_path, *words, **plain)
    assert again.returncode == 0
    assert "finished" in again.stdout
    assert again.stdout.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["script", "standard input"])
def test_a_sweep_starts_from_a_script_without_a_guard(entry: str, tmp_path: Path) -> None:
    text = "from brainseg.train import main\nmain()\n"
    (tmp_path / "mine.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "mine.py" if entry == "script" else "-", *command("-m", "epochs=1")[3:]],
        input=text,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1 cells, 0 of them finished") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("early", [True, False])
def test_a_sweep_that_is_hung_up_leaves_no_process(early: bool, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("-m", "epochs=200", "name=a"),
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # what `nohup` started hands on that it ignores a hang-up
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    begun = time.monotonic()
    while time.monotonic() - begun < 120:  # the forkserver has a child: hardware, then a cell
        children = below(process.pid)
        training = list(tmp_path.glob("multirun/a/*/history.csv"))
        if len(children) >= 3 and (early or training):
            break
        time.sleep(0.05)
    else:
        pytest.fail("no cell began")
    process.send_signal(signal.SIGHUP)
    process.wait(30)
    until = time.monotonic() + 30
    while (left := [child for child in children if alive(child)]) and time.monotonic() < until:
        time.sleep(0.2)
    assert left == []


def below(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    children = [int(word) for word in text.split()]
    for child in tuple(children):
        with contextlib.suppress(FileNotFoundError):
            children += below(child)
    return children


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("report", [True, False])
def test_a_sweep_with_a_failed_cell_is_reported_all_the_same(
    report: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(train, "open_log", lambda: None)
    monkeypatch.setattr(train, "conclude", lambda: 1)
    monkeypatch.setattr(train, "write_report", lambda sweep, _: asked.append(sweep) or True)
    monkeypatch.setattr(Watch, "config", OmegaConf.create({"report": report}), raising=False)
    assert train._end(tmp_path) == 1
    assert asked == [tmp_path] * report
