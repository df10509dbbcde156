"""`python -m brainseg.info`: versions, the weights that come along, and devices."""

import argparse
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from brainseg import cores

PACKAGES = ("brainseg", "torch", "lightning", "hydra-core", "albumentations", "nibabel")
OPTIONAL = ("SimpleITK", "highdicom", "monai")
WEIGHTS = Path(__file__).parent / "weights"


def information() -> dict[str, Any]:
    """Versions (None: not installed), weights and devices; imports no torch."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in (*PACKAGES, *OPTIONAL)},
        "weights": [_weights(path) for path in sorted(WEIGHTS.glob("*/model.json"))],
        "devices": [f"{platform.machine()} CPU, {cores.cores()} cores", *_cards()],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _weights(card: Path) -> dict[str, Any]:
    try:
        said = json.loads(card.read_text(encoding="utf-8"))
        keys = ("channels", "scores", "use", "limits", "licence", "git", "date", "sha256")
        return {"name": card.parent.name, **{key: said[key] for key in keys}}
    except (OSError, ValueError, KeyError) as error:
        return {"name": card.parent.name, "broken": str(error).splitlines()[0]}


def _cards() -> list[str]:
    """NVIDIA's GPUs by the driver's own tool; none where it is not there, or does not answer."""
    if not (tool := shutil.which("nvidia-smi")):
        return []
    words = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return [f"{tool} does not answer"]
    return done.stdout.splitlines()


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, 0."""
    parser = argparse.ArgumentParser(
        prog="python -m brainseg.info",
        description="What is installed, which weights come along, which devices are here.",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    found = information()
    if parser.parse_args(words).json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return 0
    packages = ", ".join(f"{name} {each or '(none)'}" for name, each in found["packages"].items())
    lines = [f"python {found['python']}; {packages}"]
    for each in found["weights"]:
        why = f"cannot be read ({each['broken']})" if "broken" in each else each["licence"]
        lines.append(f"weights {each['name']}: {why}; sha256 {each.get('sha256', '?')[:12]}")
    lines += [f"device {name}" for name in found["devices"]]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
