"""Log lines that keep clear of progress bars, and Lightning's messages in the run's log."""

import logging
import logging.config
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

_PACKAGE = str(Path(__file__).parent)


class ConsoleHandler(logging.Handler):
    """Prints a record to stdout above any progress bar, without its traceback.

    What other libraries say below the level of an error goes to the log file alone; of Python's
    warnings those of brainseg are printed, without the line of code.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        said = record.getMessage()
        warned = record.name == "py.warnings" and said.startswith(_PACKAGE)
        if warned or record.name.startswith("brainseg") or record.levelno >= logging.ERROR:
            plain = record.__dict__ | {"exc_info": None, "exc_text": None}
            if warned:
                plain |= {"msg": said.partition("Warning: ")[2].partition("\n")[0], "args": None}
            # a console that is gone (`| head`), or has no such letters; the file has it all
            with suppress(OSError, ValueError, AttributeError):
                tqdm.write(self.format(logging.makeLogRecord(plain)))


def configure(job_logging: dict[str, Any], folder: Path) -> None:
    """Send this process's log to the console and to `folder/train.log`.

    Args:
        job_logging: a `logging.config.dictConfig` dictionary with a handler `file`.
        folder: the run folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job_logging["handlers"]["file"]["filename"] = str(folder / "train.log")
    logging.config.dictConfig(job_logging)


def keep_from_console(name: str) -> None:
    """Send what a logger says to the log file alone."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ConsoleHandler):
            handler.addFilter(lambda record: record.name != name)


def adopt_lightning() -> None:
    """Let Lightning's messages and Python's warnings reach the run's log.

    Lightning adds handlers of its own at import and stops its records there. A log file that
    cannot be written, as on a full disk, is left unwritten.
    """
    logging.raiseExceptions = False
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(True)


def clock(seconds: float) -> str:
    """Seconds as `h:mm:ss`."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}"
