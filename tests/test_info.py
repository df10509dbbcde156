import json
import subprocess
import sys
from pathlib import Path

import pytest

from brainseg import info


def test_it_tells_what_is_here_without_torch(capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; from brainseg.info import main; main(['--json']); "
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["packages"]["torch"]
    assert "cores" in found["devices"][0]
    assert info.main([]) == 0
    assert f"torch {found['packages']['torch']}" in capsys.readouterr().out


def test_weights_and_cards_are_listed_and_broken_ones_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.json").write_text("{}")
    monkeypatch.setattr(info, "WEIGHTS", tmp_path)
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 80 GiB, 570.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert info.main([]) == 0
    said = capsys.readouterr().out
    assert "weights mine: cannot be read" in said
    assert "device NVIDIA H100, 80 GiB, 570.1" in said
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert "does not answer" in info.information()["devices"][1]
