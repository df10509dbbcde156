"""How a try of a cell ended, in one line and in its folder, where it did not finish."""

import logging
import multiprocessing
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from brainseg.errors import INTERRUPTED, TERMINATED, reason
from brainseg.files import held
from brainseg.runs.cell import Cell
from brainseg.runs.folder import CONFIG, FAILED, LAST, LOG, RunFolder
from brainseg.sweep import manifest

# what Hydra and brainseg write before the first cell begins
_EARLY = {LOG, FAILED, "multirun.yaml", manifest.MANIFEST, manifest.LOCK, manifest.WRITING}

log = logging.getLogger(__name__)


def interrupted(stop: BaseException, resume: str) -> NoReturn:
    """Print the command that resumes, deaf to further signals, and exit with 130 or 143."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's raises for a loader that was ended too
    # a sweep says it for its cells
    level = logging.DEBUG if multiprocessing.parent_process() else logging.WARNING
    log.log(level, "interrupted; the epoch under way is lost; resume with: %s", resume)
    sys.exit(TERMINATED if getattr(stop, "code", None) == TERMINATED else INTERRUPTED)


def refuse(error: Exception, cell: Cell | None = None, *, listed: bool = False) -> bool:
    """Say in one line what went wrong; a traceback goes to the log file alone.

    Returns:
        Whether it is an error with a known remedy: nobody needs the traceback.

    Args:
        error: what was raised.
        cell: the cell that failed; the reason is noted in its folder.
        listed: note it in `sweep.json` where the folder is another cell's.
    """
    said = reason(error)
    if cell is not None and said.startswith("out of memory"):
        said += f"; {_smaller(cell.config)}"
    expected = not said.startswith(f"{type(error).__name__}: ")
    if cell is not None and cell.owns_folder():
        keep_failure(cell.folder, said)
        if not expected:
            said += f" (traceback in {cell.folder / LOG})"
        if (cell.folder / LAST).is_file():
            said += f"; resume with: {cell.command}"
    elif cell is not None and listed:
        manifest.write([cell], refused=said)
    log.error(said)
    log.debug("traceback", exc_info=error)
    return expected


def _smaller(config: dict[str, Any]) -> str:
    """What to try where the memory did not suffice: half of it, and little more than half."""
    batch, size = config["batch_size"], config["data"]["size"]
    smaller = max(16, size * 3 // 4 // 16 * 16) if isinstance(size, int) else "a smaller share"
    return (
        f"it had batch_size={batch} and data.size={size}: try batch_size={max(1, batch // 2)}, "
        f"or data.size={smaller}"
    )


def leave_nothing(folder: Path) -> None:
    """Remove the folder of a run or sweep that was refused before it began, if nothing else is in.

    What another command trained there before is in folders of its own, or has a configuration.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {CONFIG}
    if names <= _EARLY and not held(folder / manifest.LOCK):
        shutil.rmtree(folder, ignore_errors=True)
        RunFolder(folder).lock.unlink(missing_ok=True)


def keep_failure(folder: Path, why: str) -> None:
    """Write why a try failed into the cell's folder, if that can be written."""
    try:
        RunFolder(folder).keep_failure(why)
    except OSError as error:  # such as the full disk that is the reason
        log.debug("the reason could not be kept in %s: %s", folder, error)
