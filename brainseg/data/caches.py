"""`python -m brainseg.data.caches --list`, `--prune`: the prepared scans on this disk."""

import argparse
import json
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """`cache_dir`, else the environment's `BRAINSEG_CACHE`, else the user's cache folder."""
    chosen = cache_dir or os.environ.get("BRAINSEG_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("brainseg")


@dataclass(frozen=True)
class Cached:
    """A cache on disk.

    Attributes:
        folder: its place.
        source: as in `Meta`.
        fingerprint: as in `Meta`.
        patients: how many.
        megabytes: on disk.
        used: when it was opened last, in seconds since 1970.
    """

    folder: Path
    source: list[str]
    fingerprint: str
    patients: int
    megabytes: float
    used: float


def caches(parent: Path) -> list[Cached]:
    """The caches of any scans in a cache folder, by their last use."""
    found = []
    for path in parent.glob("[!.]*/meta.json"):  # with a dot: one that is being built
        with suppress(OSError, ValueError, KeyError, TypeError):  # it is being removed
            meta = json.loads(path.read_text())
            size = sum(each.stat().st_size for each in path.parent.iterdir()) / 2**20
            used = path.parent.stat().st_mtime
            source = meta.get("source", ["?", "?", "of an earlier version"])
            patients, fingerprint = len(meta["patients"]), str(meta["fingerprint"])
            found.append(Cached(path.parent, source, fingerprint, patients, size, used))
    return sorted(found, key=lambda each: each.used)


def main(arguments: list[str] | None = None) -> None:
    """List the caches of scans, or free their space."""
    parser = argparse.ArgumentParser(
        prog="python -m brainseg.data.caches", description=main.__doc__
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="last use, size, scans, settings")
    what.add_argument(
        "--prune",
        nargs="?",
        type=float,
        const=30.0,
        metavar="DAYS",
        help="remove those not used for so many days (default 30; 0: all); they are built again "
        "when they are needed",
    )
    parser.add_argument("--cache-dir", help="default: BRAINSEG_CACHE, else the user's cache folder")
    given = parser.parse_args(arguments)
    there = caches(cache_folder(given.cache_dir))
    if given.prune is not None:
        there = [each for each in there if time.time() - each.used >= given.prune * 86400]
        for each in there:
            shutil.rmtree(each.folder, ignore_errors=True)
    lines = [
        f"{time.strftime('%Y-%m-%d', time.localtime(each.used))}  {each.megabytes:6.0f} MB  "
        f"{each.folder.name}  {each.patients} patients of {each.source[1]}  {each.source[2]}"
        for each in there
    ]
    did = "removed from" if given.prune is not None else "in"
    size = sum(each.megabytes for each in there)
    lines += [f"{len(there)} caches, {size:.0f} MB, {did} {cache_folder(given.cache_dir)}"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
