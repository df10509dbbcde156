"""What to evaluate, and where to write it."""

from dataclasses import dataclass, field
from pathlib import Path

from brainseg.evaluate.measure import Rules


@dataclass(frozen=True)
class Request:
    """What to evaluate.

    Attributes:
        runs: run folders; of several, the mean of their probabilities is evaluated, or of the
            folds of a recipe each on its own test patients.
        split: train, val, test or all.
        checkpoint: best or last.
        root: other scans than those of the training, in the same layout.
        data: words that choose another data set than that of the training.
        tta: average over flips.
        allow_seen: score patients of train and val that are found under `root`.
        rules: what surface scores depend on.
        out: where to write; None: `evaluate/` in the first run.
        skip_faulty: leave damaged slices out, whatever the runs were told.
        command: as it was given.
    """

    runs: tuple[Path, ...]
    split: str = "test"
    checkpoint: str = "best"
    root: Path | None = None
    tta: bool = False
    allow_seen: bool = False
    rules: Rules = field(default_factory=Rules)
    out: Path | None = None
    skip_faulty: bool = False
    command: str = ""
    data: tuple[str, ...] = ()

    @property
    def elsewhere(self) -> bool:
        """Whether other scans than those of the training are asked for."""
        return self.root is not None or bool(self.data)

    @property
    def folder(self) -> Path:
        """Where it is written: absolute, whatever links lead there."""
        if self.out is not None:
            return self.out.resolve()
        together = f"-of-{len(self.runs)}-runs" if len(self.runs) > 1 else ""
        return self.runs[0].resolve() / "evaluate" / f"{self.split}-{self.checkpoint}{together}"
