"""`python -m brainseg.train`: one training run, or with `-m` a sweep.

Hydra composes, and its launcher calls `brainseg.sweep.worker.train_cell` for each cell, in this
process or another. What became of a sweep is read from disk once Hydra has ended.
"""

import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from brainseg.config import CONF, refuse_several
from brainseg.errors import INTERRUPTED, reason, terminable
from brainseg.sweep.end import Watch, conclude, open_log
from brainseg.sweep.outcome import interrupted, leave_nothing, refuse
from brainseg.sweep.worker import COMMAND, command, train_cell
from brainseg.values import check_name

# How long a thread of torch's waits on its core for more to do; read when torch is imported. By
# default some 15 ms, which whoever trains next on these cores would lose (docs/performance.md).
_SPIN = ("GOMP_SPINCOUNT", "30000")
_FLAGS = ("-m", "--multirun", "-h", "--help", "--hydra-help", "--version", "--resolve")

log = logging.getLogger("brainseg.train")  # also where it is run as `__main__`


def main() -> None:
    """The command line; exits with 0 only if everything asked for is finished."""
    flags = [word for word in sys.argv[1:] if word in _FLAGS]  # Hydra wants them first
    sys.argv[1:] = [*flags, *(word for word in sys.argv[1:] if word not in _FLAGS)]
    given = [word for word in sys.argv[1:] if not word.startswith("name=")]
    os.environ[COMMAND] = shlex.join(["python", "-m", "brainseg.train", *given])
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault(*_SPIN)
    Watch.sweep, gave_up = None, False
    try:
        _check_name(sys.argv[1:])
        refuse_several(sys.argv[1:])
        with terminable(), _errors_as_raised():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(train_cell)()
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__
        sys.exit(f"{error}\n{cause}" if isinstance(cause, OmegaConfBaseException) else str(error))
    except (OSError, ValueError) as error:  # such as a folder that Hydra cannot make
        if refuse(error) and Watch.sweep is not None:
            leave_nothing(Watch.sweep)
        sys.exit(1)
    except KeyboardInterrupt as stop:
        if Watch.sweep is None:
            sys.exit(INTERRUPTED)  # nothing has begun
        interrupted(stop, command(Watch.sweep.name))
    except Exception as error:  # of a launcher, whose workers may be killed, or of a sweeper
        if Watch.sweep is None:
            raise
        open_log()
        log.error("the launcher or sweeper gave up: %s", reason(error))
        log.debug("traceback", exc_info=error)
        gave_up = True
    if Watch.sweep is not None and not Watch.config.plan:
        sys.exit(max(_end(Watch.sweep), int(gave_up)))


def _end(sweep: Path) -> int:
    open_log()
    status = conclude()
    if Watch.config.report and not write_report(sweep, command(sweep.name)):
        status = 1
    return status


def write_report(sweep: Path, made_by: str) -> bool:
    """Write the report of a sweep, and log its answer; whether that could be done."""
    from brainseg.report.write import report  # 2 s that only this needs

    try:
        answer, _, page = report([sweep], command=f"{made_by}, at its end")
    except (OSError, ValueError) as error:
        log.error("there is no report: %s", error)
        return False
    log.info("%s\n%s", answer, page)
    return True


def _check_name(words: Sequence[str]) -> None:
    """Refuse a bad name before Hydra makes its folder."""
    for word in words:
        key, _, value = word.partition("=")
        if key == "name":
            check_name(None if value == "null" else value.strip("'\""))


@contextmanager
def _errors_as_raised() -> Iterator[None]:
    """Keep Hydra 1.3 from printing a traceback of its own."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


if __name__ == "__main__":
    main()
