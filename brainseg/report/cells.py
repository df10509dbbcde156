"""A finished cell as a report reads it: configuration, scores by patient, curves."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

SCORES = ("dice", "iou", "precision", "recall", "accuracy")


@dataclass(frozen=True)
class Result:
    """A finished cell.

    Attributes:
        name: of its folder.
        config: its resolved configuration.
        choices: the option chosen in each group.
        metrics: `metrics.json`.
        patients: `patients.csv`, a row per checkpoint, split, patient and region.
        history: `history.csv`, a row per epoch; empty where there is none.
    """

    name: str
    config: dict[str, Any]
    choices: dict[str, str]
    metrics: dict[str, Any]
    patients: pd.DataFrame
    history: pd.DataFrame

    @property
    def seed(self) -> int:
        """Of weights and data order."""
        return int(self.metrics["seed"])

    @property
    def fold(self) -> int | None:
        """The fold that is its test set, or None."""
        fold = self.config.get("split", {}).get("fold")
        return None if fold is None else int(fold)

    @property
    def leaky(self) -> bool:
        """Whether patients are on two sides of its split."""
        return bool(self.metrics["split"]["leaky"])

    @property
    def split(self) -> str:
        """Checksum of its data, of who trains, validates and tests, and of what is segmented."""
        members = {part: sorted(who) for part, who in self.members.items()}
        about: list[Any] = [self.metrics["data"]["fingerprint"], self.leaky, members]
        if (regions := self.regions) != ["tumour"]:  # whose checksum is older than regions are
            about.append(regions)
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def regions(self) -> list[str]:
        """What was segmented; `tumour` where an earlier revision does not say."""
        found = self.patients.get("region", pd.Series(["tumour"]))
        return sorted(found.astype(str).unique())

    @property
    def members(self) -> dict[str, list[str]]:
        """The patients of each part."""
        return self.metrics["split"]["members"]  # type: ignore[no-any-return]

    def score(self, which: str, part: str, name: str = "dice") -> float | None:
        """A score of `metrics.json`, or None where it has none."""
        value = self.metrics["scores"].get(which, {}).get(part, {}).get(name)
        return None if value is None else float(value)

    def by_patient(
        self, which: str = "best", part: str = "test", name: str = "dice"
    ) -> "pd.Series[float]":
        """A score of each patient, the mean over its regions; empty where the split has none."""
        table = self.patients
        chosen = table[(table["checkpoint"] == which) & (table["split"] == part)]
        return chosen[name].astype(float).groupby(chosen["patient"], sort=False).mean()
