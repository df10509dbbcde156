"""Where phantoms are kept: drawn once, whole or not at all."""

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from brainseg.data.caches import cache_folder
from brainseg.data.preprocessing import LARGEST

log = logging.getLogger(__name__)


def check(patients: int, slices: tuple[int, int], size: int, seed: int) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ValueError: names the value, the rule and the remedy.
    """
    fewest, most = slices
    if not 1 <= patients <= 9999:
        raise ValueError(f"patients={patients} must be within 1 and 9999; set data.reader.patients")
    if not 3 <= fewest <= most <= 1000:
        raise ValueError(
            f"slices={list(slices)} must be the fewest, at least 3, and the most, at most "
            "1000; set data.reader.slices, e.g. [20,40]"
        )
    if not 16 <= size <= LARGEST:
        raise ValueError(
            f"size={size} must be within 16 and {LARGEST} pixels; set data.reader.size"
        )
    if seed < 0:
        raise ValueError(f"seed={seed} must not be negative; set data.reader.seed")


def drawn(root: str | Path | None, name: str, write: Callable[[Path], None]) -> Path:
    """The folder `name` below `root`, after `write` has filled it the first time.

    It is written beside its place and renamed.

    Args:
        root: None is `phantom` in the cache's folder.
        name: with all that the files depend on.
        write: takes an empty folder.

    Raises:
        ValueError: it cannot be written.
    """
    parent = Path(root).expanduser() if root else cache_folder() / "phantom"
    folder = parent / name
    if folder.is_dir():
        return folder
    log.info("drawing phantoms into %s", folder)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".phantom-", dir=parent))
        try:
            write(partial)
            partial.chmod(0o755)  # mkdtemp's is for its owner alone
            partial.replace(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same files
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise ValueError(
            f"data.root={parent} must be a folder with space that can be written to "
            f"({error.strerror}); set data.root or BRAINSEG_CACHE to another"
        ) from error
    return folder
