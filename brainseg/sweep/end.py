"""The end of a sweep, whoever launched its cells: its table and exit status, from disk."""

import logging
import logging.config
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from brainseg.runs.cell import Cell, cell_in
from brainseg.runs.folder import LOG, RunFolder
from brainseg.sweep import manifest
from brainseg.sweep.manifest import Listed
from brainseg.sweep.table import results, text
from brainseg.sweep.worker import OURS, command

log = logging.getLogger(__name__)


class Watch(Callback):
    """Hydra's callback that notes which sweep begins, and opens its log.

    Attributes:
        sweep: the folder of the sweep that this process began; None where it began none.
        config: its composed configuration.
    """

    sweep: ClassVar[Path | None] = None
    config: ClassVar[DictConfig]

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Nothing is ignored in silence."""
        if config.jobs not in (1, "auto"):
            log.warning(
                "jobs=%s changes nothing in a single run; cells of a sweep (-m) train side by side",
                config.jobs,
            )

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Keep the configuration, and say what the chosen launcher cannot do."""
        Watch.sweep, Watch.config = Path(config.hydra.sweep.dir).absolute(), config
        with suppress(OSError):  # the sweeper makes it too, and says why it cannot
            Watch.sweep.mkdir(parents=True, exist_ok=True)
            open_log()
        launcher = config.hydra.runtime.choices["hydra/launcher"]
        if launcher == OURS:
            return
        for key, usual in (("jobs", 1), ("limit", None)):
            if config[key] != usual:
                said = "%s=%s is ignored by hydra/launcher=%s, which has options of its own"
                log.warning(said, key, config[key], launcher)
        log.info(
            "hydra/launcher=%s: a longer cell that starts beside its shorter sibling trains from "
            "scratch, and no line tells the time that the sweep has left",
            launcher,
        )


def open_log() -> None:
    """Log to the console and the sweep's `train.log`; some launchers set their own logging."""
    assert Watch.sweep is not None
    settings = Watch.config.hydra.job_logging.copy()
    settings.handlers.file.filename = str(Watch.sweep / LOG)
    logging.config.dictConfig(OmegaConf.to_container(settings, resolve=True))  # type: ignore[arg-type]


def conclude() -> int:
    """Print the table of the cells that this command asked for; the exit status."""
    assert Watch.sweep is not None
    asked = command(Watch.sweep.name)
    listed = manifest.earlier(Watch.sweep)
    own = {name: each for name, each in listed.items() if each.command == asked}
    if not own:
        log.error("no cell of %s was begun", Watch.sweep)
        return 1
    refused = {name: each.refused for name, each in own.items() if each.refused}
    cells = [_cell(Watch.sweep / name, each) for name, each in own.items()]
    log.info(text(results(cells, refused)))
    failed = [c.folder.name for c in cells if not c.finished or c.folder.name in refused]
    if failed:
        said = "%d of %d cells failed: %s; retry them with: %s"
        log.error(said, len(failed), len(cells), ", ".join(failed), asked)
    return 1 if failed else 0


def _cell(folder: Path, listed: Listed) -> Cell:
    """The cell as its folder has it; where nothing is there yet, as the sweep lists it."""
    try:
        return cell_in(RunFolder(folder))
    except ValueError:
        known: Mapping[str, Any] = {"epochs": listed.epochs, "seed": listed.seed, "force": False}
        return Cell(dict(known), {"norm": listed.norm, "loss": listed.loss}, folder, "")
