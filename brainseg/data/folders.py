"""What lies below a root: every folder, once, with its files; nothing is passed over in silence."""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

DEPTH = 8  # folders below the root that are looked into

_SYSTEM = ("__MACOSX", "Thumbs.db", "desktop.ini", "Icon\r", "$RECYCLE.BIN")


@dataclass(frozen=True)
class Folder:
    """A folder and what lies directly in it.

    Attributes:
        path: where it is.
        files: names, sorted; without those of the system.
        system: how many files and folders of the system (hidden ones, Thumbs.db, __MACOSX).
        problem: why it could not be looked into; empty where it could.
        again: the folder that it is a link to, looked into already.
    """

    path: Path
    files: tuple[str, ...] = ()
    system: int = 0
    problem: str = ""
    again: Path | None = None


def walk(root: Path) -> Iterator[Folder]:
    """Every folder below `root` and itself, by name; links are followed, once."""
    seen: dict[str, Path] = {}
    waiting = [(root, 0)]
    bar = tqdm(desc="looking for scans", unit="folder", delay=2, disable=None)
    while waiting:
        path, depth = waiting.pop()
        bar.update()
        first = seen.setdefault(os.path.realpath(path), path)
        if first != path:
            yield Folder(path, again=first)
            continue
        try:
            with os.scandir(path) as entries:
                found = {
                    entry.name: entry.is_dir()
                    for entry in entries
                    if entry.is_dir() or entry.is_file() or entry.is_symlink()  # no pipe or socket
                }
        except OSError as error:
            yield Folder(path, problem=f"{error.strerror}, not looked into")
            continue
        names = sorted(name for name in found if not _of_the_system(name))
        folders = [path / name for name in names if found[name]]
        files = tuple(name for name in names if not found[name])
        deeper = depth == DEPTH and bool(folders)
        what = f"its folders, {DEPTH} below the root, are not looked into" if deeper else ""
        yield Folder(path, files, len(found) - len(names), what)
        if not deeper:
            waiting += [(folder, depth + 1) for folder in reversed(folders)]
    bar.close()


def left_out(root: Path, again: Collection[Path], other: Collection[str], system: int) -> list[str]:
    """What below `root` is not read, in a few words each.

    Args:
        root: what was walked.
        again: folders with the files of others.
        other: names of files that are no scans.
        system: files and folders of the system.
    """
    lines = []
    if again:
        places = sorted({str(path.parent.relative_to(root)) for path in again})
        alike = "links, or the same names, sizes and middle slice"
        lines.append(f"folders that are there again ({len(again)}; {alike}), in {_some(places)}")
    if other:
        lines.append(f"files that are no scans ({len(other)}): {_some(sorted(set(other)))}")
    if system:
        lines.append(f"files and folders of the system ({system})")
    return lines


def _some(words: list[str], most: int = 4) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def by_parent(paths: Collection[Path], root: Path) -> str:
    """How many folders lie where, such as `train 12, test 9`; empty where all lie together."""
    places = Counter(path.parent for path in paths)
    if len(places) < 2:
        return ""
    return ", ".join(f"{place.relative_to(root)} {count}" for place, count in places.items())


def _of_the_system(name: str) -> bool:
    return name.startswith(".") or name in _SYSTEM or name.endswith(":Zone.Identifier")
