"""One cell of a sweep (or a single run): what it is, where it lies, how far it has come.

Imports neither torch nor Lightning, so that the process that owns a sweep starts at once.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from brainseg.files import write_whole
from brainseg.runs.identity import differences, identity

METRICS = "metrics.json"
FAILED = "failed.json"
HISTORY = "history.csv"
LAST = "checkpoints/last.ckpt"
BEST = "checkpoints/best.ckpt"
_BLIND_TO_THE_END = ("brainseg.schedules.constant", "brainseg.schedules.plateau")
_ASIDE = ".old"
_CONFIG = ".hydra/config.yaml"


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

    @property
    def finished(self) -> bool:
        """True where training, scoring and writing are complete, and not to be forced aside."""
        return not self._forced_aside and read_metrics(self.folder) is not None

    @property
    def _forced_aside(self) -> bool:
        """True where `force=true` will move what is in the folder."""
        return bool(self.config["force"]) and bool(self.changed())

    def saved_config(self) -> dict[str, Any] | None:
        """The configuration that the folder was made with, or None where there is none.

        Raises:
            ValueError: the file is broken.
        """
        path = self.folder / _CONFIG
        if not path.is_file():
            return None
        try:
            config = OmegaConf.to_container(OmegaConf.load(path))
        except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError):
            config = None
        if not isinstance(config, dict) or "epochs" not in config:
            raise ValueError(f"{path} is broken; move {self.folder} away, or choose another name")
        return {str(key): value for key, value in config.items()}

    def write_config(self) -> None:
        """Write `.hydra/config.yaml` and `.hydra/hydra.yaml` (the choices)."""
        hydra = {"hydra": {"runtime": {"choices": self.choices}}}
        # the configuration last: its presence says that both are there
        for name, content in ((".hydra/hydra.yaml", hydra), (_CONFIG, self.config)):
            write_whole(self.folder / name, OmegaConf.to_yaml(OmegaConf.create(content)))

    def changed(self) -> list[str]:
        """The keys in which the folder's configuration differs, as `key: old -> new`."""
        saved = self.saved_config()
        return [] if saved is None else differences(identity(saved), self.identity)

    def refuse_other(self) -> None:
        """Refuse a folder that another configuration made, unless `force=true`.

        Raises:
            ValueError: names the keys that differ.
        """
        if not self.config["force"] and (changed := self.changed()):
            raise ValueError(
                f"{self.folder} holds another configuration ({'; '.join(changed)}); "
                "choose another name=..., or force=true to keep the old folder aside"
            )

    def claim(self) -> None:
        """Make the folder this cell's own, and tidy it; `force=true` moves another's aside.

        Raises:
            ValueError: as `refuse_other`.
        """
        self.refuse_other()
        if self.changed():
            aside = f"{self.folder.name}.{time.time_ns()}{_ASIDE}"
            self.folder.rename(self.folder.with_name(aside))
        if self.saved_config() is None:
            self.write_config()
        for partial in self.folder.rglob("*.part"):  # half-written at a kill
            partial.unlink()

    def shorter(self, others: Sequence["Cell"]) -> "Cell | None":
        """The cell among `others` that this one continues: the same with the most epochs below its.

        None where there is none, or where the learning rate depends on how many epochs there are.
        """
        if self.config["scheduler"]["_target_"] not in _BLIND_TO_THE_END:
            return None
        same = [
            other
            for other in others
            if other.config["epochs"] < self.config["epochs"]
            and self.identity == other.identity | {"epochs": self.config["epochs"]}
        ]
        return max(same, key=lambda other: int(other.config["epochs"]), default=None)

    def epochs_left(self, others: Sequence["Cell"]) -> int:
        """Epochs still to train, if it continues the shorter cell among `others`; 0 if finished."""
        if self.finished:
            return 0
        begun = self.epochs_done
        if not begun and (shorter := self.shorter(others)):
            begun = int(shorter.config["epochs"])
        return max(0, int(self.config["epochs"]) - begun)

    @property
    def epochs_done(self) -> int:
        """Rows of `history.csv`; the last may have to be trained again."""
        path = self.folder / HISTORY
        if self._forced_aside:
            return 0
        return max(0, len(path.read_text().splitlines()) - 1) if path.is_file() else 0

    def failure(self) -> str | None:
        """Why the last try failed, or None."""
        path = self.folder / FAILED
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["reason"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"{path} is broken ({type(error).__name__})"

    def write_failure(self, reason: str) -> None:
        """Keep why this try failed; the next start of the cell removes it."""
        write_whole(self.folder / FAILED, json.dumps({"reason": reason}))


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """What `metrics.json` of a run folder says; None where there is none, or a broken one."""
    try:
        metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return metrics if isinstance(metrics, dict) and "scores" in metrics else None


def cells_in(folder: Path) -> list[Cell]:
    """The finished cells that lie in a sweep's folder, whichever command made them."""
    found = []
    for path in sorted(folder.glob(f"*/{METRICS}")):
        cell = Cell({}, {}, path.parent, "")
        with suppress(ValueError):  # a broken one is no help, and its own run says so
            if (saved := cell.saved_config()) and path.parent.suffix != _ASIDE:
                found.append(replace(cell, config=saved))
    return found
