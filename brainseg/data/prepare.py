"""Opens a data set's cache, or checks every file and builds it: once, for all processes."""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from brainseg.data.build import build
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.reader import Patient, Reader
from brainseg.data.store import FORMAT, Meta, Store, open_store, replacing
from brainseg.files import only_one

SKIP = "set data.on_error=skip"  # the remedy for what cannot be mended

log = logging.getLogger(__name__)


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """`cache_dir`, else the environment's `BRAINSEG_CACHE`, else the user's cache folder."""
    chosen = cache_dir or os.environ.get("BRAINSEG_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("brainseg")


def prepare(
    reader: Reader,
    root: str | Path | None,
    preprocessing: Preprocessing,
    *,
    skip: bool = False,
    cache_dir: str | Path | None = None,
) -> tuple[Path, Store]:
    """The cache's folder and the open cache.

    Args:
        reader: Finds and reads the patients.
        root: Where they are; None leaves it to the reader.
        preprocessing: What to do to the pixels.
        skip: Whether to leave out what is faulty, instead of refusing the data set.
        cache_dir: As in `cache_folder`.

    Raises:
        FileNotFoundError: If the reader finds no patients.
        ValueError: If the files have faults (all of them, a line each) and not `skip`; or if no
            slice is left; or if the cache cannot be written.
    """
    patients, problems = reader.find(root)
    folder = cache_folder(cache_dir) / _name(reader, patients, problems, preprocessing)
    store = _usable(folder, skip)
    if store is None:
        with _alone(folder):
            store = _usable(folder, skip)  # another process may have built it by now
            if store is None:
                store = _build(folder, reader, patients, problems, preprocessing, skip)
    _report(store.meta)
    return folder, store


def _name(
    reader: Reader, patients: list[Patient], problems: list[str], preprocessing: Preprocessing
) -> str:
    """The cache's folder: another one for other files, settings or readers."""
    kind = type(reader)
    paths = dict.fromkeys(path for p in patients for path in (*p.images, *p.masks))
    parts = [f"{FORMAT} {kind.__module__}.{kind.__qualname__} {preprocessing.cached}", *problems]
    key = hashlib.sha256("\n".join([*parts, *map(_stamp, paths)]).encode()).hexdigest()
    return f"{kind.__name__.lower()}-{preprocessing.size}-{key[:16]}"


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError as error:  # such as a dead link; reading it names the fault
        return f"{path.absolute()} {error.strerror}"
    return f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"


def _usable(folder: Path, skip: bool) -> Store | None:
    """The cache, unless it has faults that matter: those may be mended without a trace in _name."""
    store = open_store(folder)
    return None if store is None or (store.meta.problems and not skip) else store


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; what the disk refuses ends in one line."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_one(Path(f"{folder}.lock"), f"the cache {folder} is being written"):
            yield
    except OSError as error:
        raise ValueError(
            f"data.cache_dir={folder.parent}; the cache cannot be written there "
            f"({error.strerror or error}); free some space, or set data.cache_dir or BRAINSEG_CACHE"
        ) from error


def _build(
    folder: Path,
    reader: Reader,
    patients: list[Patient],
    problems: list[str],
    preprocessing: Preprocessing,
    skip: bool,
) -> Store:
    log.info("reading %d patients into the cache %s", len(patients), folder)
    with replacing(folder) as partial:
        meta = build(partial, reader, patients, problems, preprocessing)
        if (meta.problems and not skip) or not meta.patients:
            rule = "every file must be sound" if meta.patients else "no slice is left"
            remedy = f"mend them, or {SKIP} to leave them out"
            head = f"{len(meta.problems)} faults in the scans; {rule}; {remedy}"
            raise ValueError("\n  ".join([head, *meta.problems]))
    store = open_store(folder)
    if store is None:
        raise RuntimeError(f"the cache {folder} was removed as soon as it was written")
    return store


def _report(meta: Meta) -> None:
    if meta.problems:
        what = "data.on_error=skip left out %d slices or folders:\n  %s"
        log.warning(what, meta.skipped, "\n  ".join(meta.problems))
    if meta.duplicates:
        what = "%d slices have the pixels of another patient's slice:\n  %s"
        pairs = "\n  ".join(f"{copy} = {first}" for first, copy in meta.duplicates)
        log.warning(what, len(meta.duplicates), pairs)
