"""One cell of a sweep, or a single run: what is asked for, and whether a folder is its own.

What lies in a folder says `runs.folder.RunFolder`; here is what is wanted of it.
"""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from brainseg.epochs import stable_epochs
from brainseg.files import write_whole
from brainseg.runs.folder import ASIDE, CHOICES, CONFIG, METRICS, RunFolder
from brainseg.runs.identity import differences, identity

_BLIND_TO_THE_END = ("brainseg.schedules.constant", "brainseg.schedules.plateau")
_DECAYS_LATE = "brainseg.schedules.stable_decay"


@dataclass(frozen=True)
class Cell:
    """One training run.

    Attributes:
        config: the resolved configuration as plain containers.
        choices: the option chosen in each group, `{"norm": "group", ...}`.
        folder: where it is written.
        command: the shell command that resumes it, or its sweep.
    """

    config: dict[str, Any]
    choices: dict[str, str]
    folder: Path
    command: str

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What makes it the cell it is, flattened once: a sweep compares every pair of cells."""
        return identity(self.config)

    def found(self) -> RunFolder:
        """Its folder as it is now; empty where `force=true` will move what is in it aside."""
        there = RunFolder(self.folder)
        if self.config["force"] and self._differs_from(there):
            return RunFolder(_aside(self.folder))
        return there

    @property
    def finished(self) -> bool:
        """Whether it is trained, scored and written."""
        return self.found().finished

    def refuse_other(self) -> None:
        """Refuse a folder that another configuration made, unless `force=true`.

        Raises:
            ValueError: names the keys that differ; or the folder's configuration is broken.
        """
        if not self.config["force"] and (changed := self._differs_from(RunFolder(self.folder))):
            remedy = "choose another name=..., or force=true to keep the old folder aside"
            key, _, values = changed[0].partition(": ")
            if [key] == [one.partition(": ")[0] for one in changed] == ["trainer.precision"]:
                remedy = f"go on with trainer.precision={values.partition(' -> ')[0]}, or {remedy}"
            raise ValueError(
                f"{self.folder} holds another configuration ({'; '.join(changed)}); {remedy}"
            )

    def refuse_other_scans(self, fingerprint: str) -> None:
        """Refuse to pass the results of other scans off as those of the scans asked for.

        Args:
            fingerprint: that of the scans which its configuration gives now.

        Raises:
            ValueError: its folder is finished, on other scans.
        """
        metrics = self.found().metrics if self.finished else None
        if metrics and metrics["data"]["fingerprint"] != fingerprint:
            raise ValueError(
                f"{self.folder} holds the results of other scans than those in "
                f"data.root={self.config['data']['root']}; choose another name=..."
            )

    def owns_folder(self) -> bool:
        """Whether the folder is its own, so that a failure may be noted in it."""
        try:
            return not self._differs_from(RunFolder(self.folder))
        except ValueError:  # its configuration is broken, which may be the very failure
            return False

    def claim(self) -> None:
        """Make the folder this cell's own, and tidy it; `force=true` moves another's aside.

        Raises:
            ValueError: as `refuse_other`.
        """
        self.refuse_other()
        there = RunFolder(self.folder)
        if self._differs_from(there):
            self.folder.rename(_aside(self.folder))
            there = RunFolder(self.folder)
        if there.config is None:
            hydra = {"hydra": {"runtime": {"choices": self.choices}}}
            # the configuration last: its presence says that both are there
            for name, content in ((CHOICES, hydra), (CONFIG, self.config)):
                write_whole(self.folder / name, OmegaConf.to_yaml(OmegaConf.create(content)))
        for partial in self.folder.rglob("*.part"):  # half-written at a kill
            partial.unlink()

    def shorter(self, others: Sequence["Cell"]) -> "Cell | None":
        """The cell among `others` that this one continues: the same with the most epochs below its.

        None where there is none, or where it has no epoch in common with this one (`in_common`).
        """
        same = [
            other
            for other in others
            if other.config["epochs"] < self.config["epochs"]
            and other.in_common
            and self.identity == other.identity | {"epochs": self.config["epochs"]}
        ]
        return max(same, key=lambda other: other.in_common, default=None)

    @property
    def in_common(self) -> int:
        """Its first epochs that are those of a longer cell too: before the rate sees the end."""
        schedule, epochs = self.config["scheduler"], int(self.config["epochs"])
        if schedule["_target_"] == _DECAYS_LATE:
            return stable_epochs(epochs, schedule["decay"])
        return epochs if schedule["_target_"] in _BLIND_TO_THE_END else 0

    def epochs_left(self, others: Sequence["Cell"]) -> int:
        """Epochs still to train, if it continues the shorter cell among `others`; 0 if finished."""
        there = self.found()
        if there.finished:
            return 0
        begun = len(there.history)  # the last may have to be trained again
        if not begun and (shorter := self.shorter(others)):
            begun = shorter.in_common
        return max(0, int(self.config["epochs"]) - begun)

    def _differs_from(self, there: RunFolder) -> list[str]:
        """The keys in which the folder's configuration differs, as `key: old -> new`."""
        return [] if there.identity is None else differences(there.identity, self.identity)


def cell_in(there: RunFolder) -> Cell:
    """The cell that a run folder was made for.

    Raises:
        ValueError: its configuration is broken, or it has none.
    """
    if there.config is None:
        raise ValueError(f"{there.path} has no {CONFIG}, so it is no run folder")
    return Cell(there.config, there.choices, there.path, (there.metrics or {}).get("command", ""))


def finished_in(sweep: Path, epochs: float = math.inf) -> list[Cell]:
    """The finished cells that lie in a sweep's folder, whichever command made them.

    One that is broken is left out: it is no help to others, and its own run says so.

    Args:
        sweep: what the cells' folders lie in.
        epochs: leave out those that were trained so long, or longer.
    """
    cells = []
    for path in sorted(sweep.glob(f"*/{METRICS}")):
        there = RunFolder(path.parent)
        with suppress(ValueError):
            trained = (there.metrics or {}).get("epochs", math.inf)
            if trained < epochs and path.parent.suffix != ASIDE:
                cells.append(cell_in(there))
    return cells


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.{time.time_ns()}{ASIDE}")
