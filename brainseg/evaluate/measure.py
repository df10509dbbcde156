"""Predicted volumes to tables: a row a patient, a row a slice, histograms, slices to show."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainseg.evaluate import surface
from brainseg.evaluate.calibration import Histogram, histogram, together
from brainseg.evaluate.lesions import lesions
from brainseg.evaluate.overlap import Counts, count_slices, scores
from brainseg.evaluate.surface import Spacing
from brainseg.inference import THRESHOLD, Volume

SHOWN = 6  # slices of a patient that a picture has room for
COUNTS = ("tp", "predicted", "target", "pixels")


@dataclass(frozen=True)
class Rules:
    """What surface scores depend on.

    Attributes:
        tolerance: of the surface Dice, in pixels by slice and in mm by volume.
        spacing: in mm; None is that of each patient's files, and where these tell none there are no
            scores in 3D.
    """

    tolerance: float = 2.0
    spacing: Spacing | None = None


@dataclass(frozen=True)
class Strip:
    """Some slices of a patient, to be shown: rows of the index, and their predictions."""

    rows: NDArray[np.int64]
    preds: NDArray[np.bool_]  # [D, H, W]


@dataclass(frozen=True)
class Measured:
    """All that is kept of the predictions of one region.

    Attributes:
        patients: a row a patient, in the order of the volumes.
        slices: a row a slice.
        histogram: of each patient's probabilities.
        strips: slices to show, by patient.
        plain: counts of each patient without test-time augmentation [n, 4].
        diagonal: of a slice, in pixels; HD95 of an empty prediction.
    """

    patients: pd.DataFrame
    slices: pd.DataFrame
    histogram: Histogram
    strips: dict[str, Strip]
    plain: Counts
    diagonal: float

    @property
    def counts(self) -> Counts:
        """Of each slice [N, 4]."""
        counts: Counts = self.slices[list(COUNTS)].to_numpy(np.int64)
        return counts

    @property
    def patient_of(self) -> NDArray[np.int64]:
        """The patient of each slice [N], as a row of `patients`."""
        number = dict(zip(self.patients["patient"], range(len(self.patients)), strict=True))
        return self.slices["patient"].map(number).to_numpy(np.int64)


class _One(NamedTuple):
    """What `Measured` keeps, of one patient."""

    patient: dict[str, object]
    slices: pd.DataFrame
    histogram: Histogram
    strip: Strip
    plain: Counts
    diagonal: float


def measure(volumes: Iterable[Volume], rules: Rules) -> dict[str, Measured]:
    """Score volumes one after the other, by region; none is kept."""
    found: dict[str, list[_One]] = {}
    for volume in volumes:
        found.setdefault(volume.region, []).append(_one(volume, rules))
    return {region: _together(each) for region, each in found.items()}


def _one(volume: Volume, rules: Rules) -> _One:
    preds = volume.probs > THRESHOLD
    by_slice = _slices(volume, preds, rules)
    return _One(
        _patient(volume, preds, by_slice, rules),
        by_slice,
        histogram(volume.probs, volume.target),
        _strip(volume, preds),
        count_slices(volume.plain > THRESHOLD, volume.target).sum(0),
        surface.diagonal(volume.target.shape[1:]),
    )


def _together(each: list[_One]) -> Measured:
    return Measured(
        pd.DataFrame([one.patient for one in each]),
        pd.concat([one.slices for one in each], ignore_index=True),
        together([one.histogram for one in each]),
        {str(one.patient["patient"]): one.strip for one in each},
        np.stack([one.plain for one in each]),
        each[-1].diagonal,
    )


def _slices(volume: Volume, preds: NDArray[np.bool_], rules: Rules) -> pd.DataFrame:
    counts = count_slices(preds, volume.target)
    names = {"patient": volume.patient, "region": volume.region}
    table = pd.DataFrame(names | {"slice": volume.numbers})
    table[list(COUNTS)] = counts
    table = table.assign(**scores(counts))
    table[["hd95_px", "surface_dice"]] = surface.of_slices(
        preds, volume.target, tolerance=rules.tolerance
    )
    return table


def _patient(
    volume: Volume, preds: NDArray[np.bool_], by_slice: pd.DataFrame, rules: Rules
) -> dict[str, object]:
    counts = by_slice[list(COUNTS)].sum().to_numpy(np.int64)
    row: dict[str, object] = {"patient": volume.patient, "region": volume.region}
    row |= {"institution": volume.institution, "missing": volume.missing}
    row |= {"slices": len(by_slice)} | dict(zip(COUNTS, counts.tolist(), strict=True))
    row |= {name: float(value) for name, value in scores(counts).items()}
    row |= _surface(volume, preds, by_slice, rules)
    row |= _volume_error(counts, rules.spacing or volume.spacing)
    row |= {f"lesions_{k}": n for k, n in _lesions(volume, preds).items()}
    empty = by_slice["target"] == 0
    row |= {"empty_slices": int(empty.sum())}
    row |= {"false_alarms": int((empty & (by_slice["predicted"] > 0)).sum())}
    return row


def _lesions(volume: Volume, preds: NDArray[np.bool_]) -> dict[str, int]:
    return asdict(lesions(preds, volume.target, volume.numbers))


def _surface(
    volume: Volume, preds: NDArray[np.bool_], by_slice: pd.DataFrame, rules: Rules
) -> dict[str, object]:
    """Means over the slices with tumour; in 3D where the spacing is known."""
    tumour = by_slice[by_slice["target"] > 0]
    found: dict[str, object] = {name: tumour[name].mean() for name in ("hd95_px", "surface_dice")}
    spacing = rules.spacing or volume.spacing
    if spacing is not None:
        in_3d = ("hd95_mm", "surface_dice_3d", "hd95_mm_of_nothing")
        found |= dict.fromkeys(in_3d, float("nan"))
    if spacing is not None and len(tumour):
        found["hd95_mm"], found["surface_dice_3d"] = surface.of_volume(
            preds, volume.target, volume.numbers, spacing, tolerance=rules.tolerance
        )
        found["hd95_mm_of_nothing"], _ = surface.of_volume(
            np.zeros_like(preds), volume.target, volume.numbers, spacing, tolerance=0
        )
    return found


def _volume_error(counts: Counts, spacing: Spacing | None) -> dict[str, object]:
    """Predicted minus true volume, as a share of the true one and, with spacing, in ml."""
    _, predicted, target, _ = counts.tolist()
    found: dict[str, object] = {
        "volume_error": (predicted - target) / target if target else float("nan")
    }
    if spacing is not None:
        found["volume_error_ml"] = (predicted - target) * float(np.prod(spacing)) / 1000
    return found


def _strip(volume: Volume, preds: NDArray[np.bool_]) -> Strip:
    """The slice with most tumour, that with most errors, others spread over what is marked."""
    marked = np.flatnonzero((preds | volume.target).any((1, 2)))
    among = marked if len(marked) else np.arange(len(preds))
    telling = (volume.target, preds ^ volume.target)
    first = np.unique([int(mask.sum((1, 2)).argmax()) for mask in telling])
    rest = np.setdiff1d(among, first)
    spread = np.linspace(0, len(rest) - 1, min(SHOWN - len(first), len(rest))).round().astype(int)
    chosen = np.sort(np.concatenate([first, rest[spread]]))
    return Strip(volume.rows[chosen], preds[chosen])
