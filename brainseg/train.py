"""`python -m brainseg.train`: one training run, or with `-m` a sweep.

Hydra composes; the cells it composes are collected and handed to `brainseg.sweep.sweep`.
"""

import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from brainseg.config import CONF, check_name, register_resolvers
from brainseg.errors import INTERRUPTED
from brainseg.runs.cell import Cell
from brainseg.runs.identity import folder_name
from brainseg.sweep.sweep import run_single, run_sweep
from brainseg.sweep.worker import refuse

log = logging.getLogger(__name__)


def main() -> None:
    """The command line; exits with 0 only if everything asked for is finished."""
    register_resolvers()
    cells: list[Cell] = []
    settings: list[dict[str, Any]] = []

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
    def collect(cfg: DictConfig) -> None:
        _refuse_foreign_launcher(HydraConfig.get())
        cells.append(_cell(cfg))
        settings[:] = [_plain(HydraConfig.get())]

    try:
        _check_name(sys.argv[1:])
        with _errors_as_raised():
            collect()
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__
        sys.exit(f"{error}\n{cause}" if isinstance(cause, OmegaConfBaseException) else str(error))
    except (OSError, ValueError) as error:  # such as a folder that Hydra cannot make
        sys.exit(refuse(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)  # nothing has begun
    if not cells:  # --help, --cfg and the like
        return
    if settings[0]["mode"] == RunMode.MULTIRUN:
        sys.exit(run_sweep(cells, settings[0]["job_logging"], write_report))
    sys.exit(run_single(cells[0]))


def write_report(cells: Sequence[Cell]) -> bool:
    """Write the report of a sweep, and log its answer; whether that could be done."""
    from brainseg.report.write import report  # 2 s that only this needs

    folder = cells[0].folder.parent
    try:
        answer, _, page = report([folder], command=f"{cells[0].command}, at its end")
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


def _refuse_foreign_launcher(settings: Any) -> None:
    """Refuse what would run the cells elsewhere, where nothing would train them."""
    choices = settings.runtime.choices
    for group in ("launcher", "sweeper"):
        chosen = choices.get(f"hydra/{group}")
        if chosen not in (None, "basic"):
            raise ValueError(
                f"hydra/{group}={chosen} must be basic: brainseg trains the cells itself, one "
                f"after the other; leave hydra/{group} out"
            )


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


def _cell(cfg: DictConfig) -> Cell:
    """The cell of a composed configuration; called while Hydra runs."""
    settings = HydraConfig.get()
    config = _plain(cfg)
    choices = {k: v for k, v in _plain(settings.runtime.choices).items() if "/" not in k}
    folder = Path(settings.runtime.output_dir)
    if settings.mode == RunMode.MULTIRUN:
        sweep = Path(settings.sweep.dir).absolute()
        default = _default(choices["norm"], choices["loss"])
        folder = sweep / folder_name(config, choices, default)
        older = sweep / folder_name(config, choices, default, modules=True)
        folder = older if older.is_dir() and not folder.is_dir() else folder
        name = sweep.name
    else:
        name = folder.name
    return Cell(config, choices, folder, _command(name))


@cache
def _default(norm: str, loss: str) -> dict[str, Any]:
    return _plain(hydra.compose("train", [f"norm={norm}", f"loss={loss}"]))


def _command(name: str) -> str:
    """The command line of this process, with the name that it was given or was run under."""
    given = [word for word in sys.argv[1:] if not word.startswith("name=")]
    return shlex.join(["python", "-m", "brainseg.train", *given, f"name={name}"])


def _plain(node: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


if __name__ == "__main__":
    main()
