"""One run folder: what its files are called, how far it is, and what they say.

Imports neither torch nor Lightning, so that whoever only looks is there at once.
"""

import json
from collections.abc import Callable
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from brainseg.files import held, write_whole
from brainseg.runs import content
from brainseg.runs.identity import identity

if TYPE_CHECKING:
    import pandas as pd

CONFIG = ".hydra/config.yaml"
CHOICES = ".hydra/hydra.yaml"
SPLIT = "split.json"
HISTORY = "history.csv"
BEST = "checkpoints/best.ckpt"
LAST = "checkpoints/last.ckpt"
STABLE = {BEST: "checkpoints/stable-best.ckpt", LAST: "checkpoints/stable-last.ckpt"}
PATIENTS = "patients.csv"
PREDICTIONS = "predictions.npz"
METRICS = "metrics.json"
FAILED = "failed.json"
LOG = "train.log"
ASIDE = ".old"
_ANEW = "move {} away and give the run's command again"

T = TypeVar("T")
State = Literal["new", "running", "interrupted", "failed", "finished", "broken"]


class RunFolder:
    """A run folder as it is now: each file is read when it is first asked for, and only then.

    Make another one to look again. Whatever is asked, a file that is broken raises `ValueError`,
    in one line with its name and the remedy; what is not there is None or empty.

    Attributes:
        path: the folder; it need not exist.
        name: of the folder, and of its cell.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @property
    def lock(self) -> Path:
        """The file that is locked while a process trains here; beside the folder, not in it."""
        return self.path.with_name(f".{self.name}.lock")

    @cached_property
    def state(self) -> State:
        """How far it is.

        Broken: a file cannot be read. Finished: trained, scored and written. Running: a process
        trains it. Failed: its last try ended with an error. Interrupted: begun, and no process has
        it now. New: nothing is trained yet.
        """
        if self._broken:
            return "broken"
        if self.finished:
            return "finished"
        if held(self.lock):
            return "running"
        if self.failure is not None:
            return "failed"
        begun = self.history or (self.path / LAST).is_file()
        return "interrupted" if begun else "new"

    @property
    def finished(self) -> bool:
        """Whether training, scoring and writing are complete."""
        try:
            return self.metrics is not None
        except ValueError:
            return False

    @property
    def reason(self) -> str:
        """Why it is broken, or why its last try failed; else empty."""
        if self.state == "broken":
            return self._broken
        return self.failure or "" if self.state == "failed" else ""

    @cached_property
    def config(self) -> dict[str, Any] | None:
        """The resolved configuration that it was made with."""
        return self._read(CONFIG, content.config)

    @cached_property
    def identity(self) -> dict[str, Any] | None:
        """What makes it the cell it is (`runs.identity`)."""
        return None if self.config is None else identity(self.config)

    @cached_property
    def choices(self) -> dict[str, str]:
        """The option chosen in each group, `{"norm": "group", ...}`."""
        chosen = self._read(CHOICES, content.choices)
        if chosen is None and (self.path / CONFIG).exists():  # which was written after it
            raise ValueError(f"{self.path / CHOICES} is missing; {_ANEW.format(self.path)}")
        return chosen or {}

    @cached_property
    def split(self) -> dict[str, Any] | None:
        """What it was started on: `{fingerprint, leaky, members}`."""
        return self._read(SPLIT, content.split)

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """A row per epoch: epoch (from 1), val/dice, seconds, and what else was logged."""
        return self._read(HISTORY, content.history) or []

    @cached_property
    def metrics(self) -> dict[str, Any] | None:
        """`metrics.json` of a finished run, else None.

        Its `split` has the patients of each part under `members`, whatever version wrote it.
        """
        return self._read(METRICS, content.metrics)

    @property
    def dice(self) -> float | None:
        """`val/dice` of the best epoch, on the original pixels; None unless finished."""
        scores = None if self.metrics is None else self.metrics["scores"]
        return None if scores is None else float(scores["best"]["val"]["dice"])

    @cached_property
    def patients(self) -> "pd.DataFrame | None":
        """`patients.csv`: a row per checkpoint, split and patient."""
        import pandas as pd

        return self._read(PATIENTS, lambda text: pd.read_csv(StringIO(text)))

    @cached_property
    def failure(self) -> str | None:
        """Why the last try failed, or None."""
        return self._read(FAILED, content.failure)

    def keep_failure(self, reason: str) -> None:
        """Write why a try failed; the next start removes it.

        Raises:
            OSError: it cannot be written.
        """
        write_whole(self.path / FAILED, json.dumps({"reason": reason}))

    @property
    def required_metrics(self) -> dict[str, Any]:
        """`metrics`, of a run that is finished.

        Raises:
            ValueError: it is not; says what the folder is instead, and what to give.
        """
        if self.metrics is None:
            raise ValueError(f"{self.path} {self._why_not_finished()}")
        return self.metrics

    def _why_not_finished(self) -> str:
        if not self.path.is_dir():
            return "is no folder; give that of a finished run, such as outputs/NAME"
        cells = sorted(path.parent.name for path in self.path.glob(f"*/{METRICS}"))
        if cells:
            return f"is a sweep; give one of its {len(cells)} finished cells, such as {cells[0]}"
        if (self.path / CONFIG).parent.is_dir():
            return "is not finished; give the command that trained it again, which resumes it"
        return f"is no run folder: it has no {METRICS}; give outputs/NAME or multirun/NAME/CELL"

    @cached_property
    def _broken(self) -> str:
        """The first broken file in one line; empty where all can be read."""
        try:
            _ = self.metrics, self.failure, self.history, self.config, self.choices
        except ValueError as error:
            return str(error)
        return ""

    def _read(self, name: str, understood: "Callable[[str], T]") -> "T | None":
        """What a file says; None where it is not there, such as while a retry removes it."""
        path = self.path / name
        try:
            return understood(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else f"{error}".partition("\n")[0]
            remedy = _ANEW.format(self.path)
            if name in (METRICS, PATIENTS):  # all that they say is in the checkpoints
                remedy = f"delete {METRICS} and give the run's command again, which scores it anew"
            elif name == FAILED:
                remedy = "delete it"
            raise ValueError(f"{path} is broken ({what}); {remedy}") from error
