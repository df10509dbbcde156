"""Opens a data set's cache, or checks every file and builds it: once, for all processes."""

import hashlib
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import numpy as np

from brainseg.data.build import build
from brainseg.data.caches import cache_folder, caches
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.reader import Found, Reader
from brainseg.data.store import FORMAT, PIXELS, Meta, Store, open_store
from brainseg.files import only_one, replacing

SKIP = "set data.on_error=skip"  # the remedy for what cannot be mended

log = logging.getLogger(__name__)


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
    found = reader.find(root)
    kind = type(reader)
    settings = f"{preprocessing.cached} {reader.settings}".rstrip()
    source = [f"{kind.__module__}.{kind.__qualname__}", str(found.root), settings]
    folder = cache_folder(cache_dir) / _name(source, found, preprocessing.size)
    store = _usable(folder, skip)
    if store is None:
        with _alone(folder):
            store = _usable(folder, skip)  # another process may have built it by now
            if store is None:
                store = _build(folder, reader, found, preprocessing, source, skip)
                _replace_older(folder, source)
    with suppress(OSError):  # a cache that may only be read
        os.utime(folder)  # when it was used last
    _report(found, store.meta, preprocessing)
    return folder, store


def _name(source: list[str], found: Found, size: float) -> str:
    """The cache's folder: another one for other files, settings or readers."""
    paths = dict.fromkeys(
        path for p in found.patients for path in (*p.images, *p.masks, *p.volumes)
    )
    reader, _, settings = source
    who = [f"{p.name} {len(p.slices)} {p.institution} {p.part} {p.person}" for p in found.patients]
    parts = [f"{FORMAT} {reader} {settings}", *who, *found.problems, *map(_stamp, paths)]
    key = hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()
    return f"{reader.rpartition('.')[2].lower()}-{size}-{key[:16]}"


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
    found: Found,
    preprocessing: Preprocessing,
    source: list[str],
    skip: bool,
) -> Store:
    log.info("reading %d patients into the cache %s", len(found.patients), folder)
    with replacing(folder, resume=True) as partial:
        meta = build(partial, reader, found, preprocessing, source)
        if (meta.problems and not skip) or not meta.patients:
            rule = "every file must be sound" if meta.patients else "no slice is left"
            remedy = f"mend them, or {SKIP} to leave them out"
            head = f"{len(meta.problems)} faults in the scans; {rule}; {remedy}"
            raise ValueError("\n  ".join([head, *meta.problems]))
        _share(partial, meta, folder)
    store = open_store(folder)
    if store is None:
        raise RuntimeError(f"the cache {folder} was removed as soon as it was written")
    return store


def _replace_older(folder: Path, source: list[str]) -> None:
    """Remove the cache of the same scans as they were before; who reads it goes on reading."""
    for other in caches(folder.parent):
        if other.folder != folder and other.source == source:
            log.info("the cache of these scans as they were before, %s, is removed", other.folder)
            shutil.rmtree(other.folder, ignore_errors=True)


def _share(partial: Path, meta: Meta, folder: Path) -> None:
    """Keep the bytes once where another cache has the same scans, from another root."""
    for other in caches(folder.parent):
        alike = (other.fingerprint, other.source[2]) == (meta.fingerprint, meta.source[2])
        for name in PIXELS if alike and other.folder != folder and open_store(other.folder) else ():
            with suppress(OSError):  # a disk without hard links
                os.link(other.folder / name, partial / f"{name}.same")
                (partial / f"{name}.same").replace(partial / name)


def _report(found: Found, meta: Meta, preprocessing: Preprocessing) -> None:
    """What was read and what not, in two lines; faults that were left out, a line each."""
    slices = sum(len(patient.slices) for patient in meta.patients)
    places = f" ({found.places})" if found.places else ""
    what = "reads %d patients, %d slices in %s%s"
    log.info(what, len(meta.patients), slices, found.root, places)
    skipped = [f"{meta.skipped} faulty slices or folders"] if meta.skipped else []
    log.info("leaves out: %s", "; ".join([*found.left_out, *skipped]) or "nothing")
    if isinstance(preprocessing.size, float):
        sides = [patient.box[2] for patient in meta.patients]
        kind = "heads" if preprocessing.crop else "images"
        what = "data.size=%g is %d px: %s have %d to %d px a side, median %g"
        log.info(what, preprocessing.size, meta.size, kind, min(sides), max(sides), median(sides))
    if meta.problems:
        what = "data.on_error=skip left out %d slices or folders:\n  %s"
        log.warning(what, meta.skipped, "\n  ".join(meta.problems))
    healthy = [patient.name for patient in meta.patients if not np.any(patient.tumour)]
    if healthy:
        log.warning("%d patients have no tumour in any slice: %s", len(healthy), ", ".join(healthy))
    if lacking := Counter(name for patient in meta.patients for name in patient.missing):
        each = ", ".join(f"{name} of {count}" for name, count in lacking.items())
        log.info("missing sequences, where another's copy stands in: %s patients", each)
    if blank := sum(sum(patient.blank) for patient in meta.patients):
        log.warning("%d slices have one grey value", blank)
    if meta.duplicates:
        what = "%d slices have the pixels of another patient's slice:\n  %s"
        pairs = "\n  ".join(f"{copy} = {first}" for first, copy in meta.duplicates)
        log.warning(what, len(meta.duplicates), pairs)
