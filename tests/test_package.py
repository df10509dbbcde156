"""The package as it is installed: light where it must be, whole in the wheel."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from brainseg.config import CONF
from tests.predict.conftest import head, write_nifti

ROOT = Path(__file__).resolve().parent.parent


def python(code: str, cwd: Path, **env: str) -> str:
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_process_that_owns_a_sweep_imports_no_torch(tmp_path: Path) -> None:
    code = "import brainseg.train, brainseg.data.cache, brainseg.data.lgg, sys; "
    assert python(code + "print('torch' in sys.modules)", tmp_path) == "False"


def test_albumentations_is_kept_from_the_network(tmp_path: Path) -> None:
    code = "import brainseg, os; print(os.environ['NO_ALBUMENTATIONS_UPDATE'])"
    assert python(code, tmp_path) == "1"


def test_what_is_cited_is_the_version_that_is_here() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])


@pytest.mark.slow
def test_the_wheel_holds_conf_and_runs_from_any_folder(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True, cwd=tmp_path
    )
    (wheel,) = tmp_path.glob("brainseg-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "brainseg/report/page.html" in names
    options = {f"brainseg/conf/{path.relative_to(CONF)}" for path in CONF.rglob("*.yaml")}
    assert options <= names
    assert not [
        name for name in names if name.startswith(("tests", "benchmarks", "conf", "multirun"))
    ]
    site = tmp_path / "site"
    subprocess.run(
        [*pip, "install", "-q", "--no-deps", "--target", str(site), str(wheel)], check=True
    )
    code = "import brainseg.config as c; print(c.CONF, c.compose([]).epochs)"
    assert python(code, tmp_path, PYTHONPATH=str(site)) == f"{site / 'brainseg/conf'} 50"
    write_nifti(tmp_path / "scan.nii.gz", head())
    code = "import sys; from brainseg.predict.__main__ import main; sys.exit(main(['scan.nii.gz']))"
    said = python(code, tmp_path, PYTHONPATH=str(site))
    assert said.startswith("CC BY-NC-SA 4.0")
    assert (tmp_path / "masks" / "scan_mask.nii.gz").is_file()
    card = json.loads((tmp_path / "masks" / "report.json").read_text())
    assert str(site / "brainseg/weights/lgg") in card["weights"]
