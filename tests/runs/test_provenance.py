import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from brainseg.runs import provenance


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with its conf/ beside it, in a repository that holds neither."""
    package = tmp_path / "brainseg"
    (package / "below").mkdir(parents=True)
    (package / "__init__.py").write_text("a = 1")
    monkeypatch.setattr(provenance, "_PACKAGE", package)
    monkeypatch.setattr(provenance, "CONF", tmp_path / "conf")
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-qm", "theirs", "--allow-empty")
    provenance.source_digest.cache_clear()
    yield package
    provenance.source_digest.cache_clear()


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@y"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True)


def digest() -> str:
    provenance.source_digest.cache_clear()
    return provenance.source_digest()


def test_a_repository_around_an_untracked_package_is_not_its_revision(package: Path) -> None:
    assert provenance.git_revision() is None
    git(package, "add", ".")
    git(package, "commit", "-qm", "ours")
    assert provenance.git_revision()


def test_a_checkout_below_another_repository_is_not_its_revision(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = package / "below"
    (below / "__init__.py").write_text("")
    git(package, "add", ".")
    git(package, "commit", "-qm", "theirs")
    monkeypatch.setattr(provenance, "_PACKAGE", below)
    monkeypatch.setattr(provenance, "CONF", package / "conf")
    assert provenance.git_revision() is None


def test_the_source_differs_between_two_dirty_trees_and_not_by_what_is_no_code(
    package: Path,
) -> None:
    before = digest()
    (package / "README.md").write_text("words")
    assert digest() == before
    (package / "__init__.py").write_text("a = 2")
    changed = digest()
    (package / "__init__.py").rename(package / "below/__init__.py")
    assert len({before, changed, digest()}) == 3
    assert len(before) == 16
