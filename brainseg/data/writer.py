"""Writes a cache's files, patient by patient, and goes on where a process was killed.

Pixels are appended with plain writes: writing through a memory map would end the process with a
signal where the disk is full.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainseg.data.store import PIXELS, Meta

JOURNAL = "journal.jsonl"  # of a cache that is being built


class Writer:
    """Appends patients to the files in `folder`, after those that a killed process has written.

    Attributes:
        done: what `note` was given for each patient that is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        written = _journal(folder / JOURNAL)
        self.done: list[dict[str, Any]] = [entry for entry, _ in written]
        sizes = written[-1][1] if written else dict.fromkeys(PIXELS, 0)
        for name, size in sizes.items():
            (folder / name).touch()
            os.truncate(folder / name, size)  # what came after the last note
        self._files = [(folder / name).open("ab") for name in PIXELS]
        self._notes = (folder / JOURNAL).open("w", encoding="utf-8")
        self._notes.writelines(json.dumps(note) + "\n" for note in written)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        for file in (*self._files, self._notes):
            file.close()

    def add(
        self, images: NDArray[np.uint8], masks: NDArray[np.uint8], originals: NDArray[np.uint8]
    ) -> None:
        """Append one patient: images `[D, size, size, C]`, masks, packed `[D, regions, packed]`."""
        for file, array in zip(self._files, (images, masks, originals), strict=True):
            file.write(np.ascontiguousarray(array).data)

    def note(self, entry: dict[str, Any]) -> None:
        """Say that a patient is written, or has nothing to write; `entry` is plain containers."""
        for file in self._files:
            file.flush()
        sizes = {name: (self._folder / name).stat().st_size for name in PIXELS}
        self._notes.write(json.dumps([entry, sizes]) + "\n")
        self._notes.flush()

    def finish(self, meta: Meta) -> None:
        """Write `meta`, which makes the folder a cache."""
        for file in self._files:
            file.flush()
        sizes = {name: (self._folder / name).stat().st_size for name in PIXELS}
        text = json.dumps({**asdict(meta), "bytes": sizes})
        (self._folder / "meta.json").write_text(text)
        (self._folder / JOURNAL).unlink()


def _journal(path: Path) -> list[tuple[dict[str, Any], dict[str, int]]]:
    """What a killed process has noted, up to a line that is not whole."""
    found: list[tuple[dict[str, Any], dict[str, int]]] = []
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="utf-8").splitlines():
            entry, sizes = json.loads(line)
            if any((path.parent / name).stat().st_size < sizes[name] for name in PIXELS):
                break
            found.append((entry, sizes))
    return found
