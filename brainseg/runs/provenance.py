"""How a result came about: data and code."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from brainseg.config import CONF
from brainseg.data.datamodule import SegmentationDataModule

_PACKAGE = Path(__file__).resolve().parents[1]


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape the numbers."""
    packages = ("brainseg", "torch", "lightning", "albumentations", "opencv-python-headless")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def data_state(data: SegmentationDataModule) -> dict[str, Any]:
    """Fingerprint and size of the data: patients, slices, slices with tumour, slices left out."""
    index = data.scans.index
    return {
        "fingerprint": data.scans.fingerprint,
        "patients": len(data.patients),
        "slices": len(index),
        "tumour_slices": int((index["tumour"] > 0).sum()),
        "skipped": data.scans.meta.skipped,
    }


@cache
def source_digest() -> str:
    """What this code is, whatever git says: a hash of the package's Python files."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py"), key=lambda path: path.relative_to(_PACKAGE).parts):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def git_revision() -> str | None:
    """Revision of brainseg's own checkout, `-dirty` if changed; None if it does not run from one.

    A package installed below somebody else's repository does not tell that one's revision.
    """
    root = _PACKAGE.parent
    top = _git("rev-parse", "--show-toplevel")
    if root != CONF.parent or top is None or Path(top).resolve() != root:
        return None
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=12")


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=_PACKAGE, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None


# At import: what runs is what was imported, whatever lies there when a sweep's last cell starts.
CODE: dict[str, Any] = {"versions": versions(), "git": git_revision(), "source": source_digest()}
