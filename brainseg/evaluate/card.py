"""The metric card: every score of some patients, with its interval, beside predicting nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from brainseg.evaluate import calibration, overlap
from brainseg.evaluate.average_precision import average_precision
from brainseg.evaluate.calibration import Histogram
from brainseg.evaluate.interval import Estimand, Estimate, Floats, mean, median, ratio
from brainseg.evaluate.measure import Measured

Scores = dict[str, Estimate]


@dataclass(frozen=True)
class Threshold:
    """The threshold that is best on val, and what it changes.

    Attributes:
        value: it.
        val: mean Dice on val at it, which flatters, and at 0.5.
        scores: Dice by patient `at_half` and `at_best`, and the paired `difference`.
    """

    value: float
    val: tuple[float, float]
    scores: Scores


@dataclass(frozen=True)
class Card:
    """All scores of a card.

    Attributes:
        overlap: by level (`overlap.LEVELS`) and name.
        median: of Dice and HD95 over patients.
        surface: HD95 and surface Dice, by patient.
        volume: relative error of the volume, signed and absolute.
        lesions: sensitivity, precision, false positives a patient.
        false_alarms: share of empty slices where something is predicted.
        calibration: error, Brier score, average precision.
        threshold: None where there is no val to choose it on.
        tta: what test-time augmentation gains; None without it.
    """

    overlap: dict[str, Scores]
    median: Scores
    surface: Scores
    volume: Scores
    lesions: Scores
    false_alarms: Scores
    calibration: Scores
    threshold: Threshold | None
    tta: Scores | None


def card(measured: Measured, *, val: Histogram | None, tta: bool) -> Card:
    """Work out a card.

    Args:
        measured: of the patients that are scored.
        val: of the patients that the threshold is chosen on; None without.
        tta: whether they were predicted with test-time augmentation.
    """
    return Card(
        overlap=_overlap(measured),
        median=_medians(measured),
        surface=_surface(measured),
        volume=_volume(measured),
        lesions=_lesions(measured),
        false_alarms=_false_alarms(measured),
        calibration=_calibration(measured.histogram),
        threshold=None if val is None else _threshold(measured.histogram, val),
        tta=_gain(measured) if tta else None,
    )


def overall(measured: Mapping[str, Measured]) -> Estimate:
    """Dice by patient: the mean over its regions, then over patients."""
    each = [_column(one, "dice") for one in measured.values()]
    silent = [overlap.scores(overlap.nothing(_volumes(one)))["dice"] for one in measured.values()]
    return mean(np.mean(each, axis=0)).estimate(float(np.mean(silent)))


def _volumes(measured: Measured) -> overlap.Counts:
    return overlap.total(measured.counts, measured.patient_of)


def _overlap(measured: Measured) -> dict[str, Scores]:
    levels = overlap.by_level(measured.counts, measured.patient_of)
    baseline = overlap.by_level(overlap.nothing(measured.counts), measured.patient_of)
    return {
        level: {name: each.estimate(baseline[level][name].value) for name, each in names.items()}
        for level, names in levels.items()
    }


def _medians(measured: Measured) -> Scores:
    silent = overlap.scores(overlap.nothing(_volumes(measured)))["dice"]
    dice = median(_column(measured, "dice")).estimate(median(silent).value)
    hd95 = median(_column(measured, "hd95_px")).estimate(nothing=measured.diagonal)
    return {"dice": dice, "hd95_px": hd95}


def _surface(measured: Measured) -> Scores:
    found = {
        "hd95_px": mean(_column(measured, "hd95_px")).estimate(measured.diagonal),
        "surface_dice": mean(_column(measured, "surface_dice")).estimate(nothing=0.0),
    }
    if "hd95_mm" in measured.patients:
        nothing = mean(_column(measured, "hd95_mm_of_nothing")).value
        found["hd95_mm"] = mean(_column(measured, "hd95_mm")).estimate(nothing)
        found["surface_dice_3d"] = mean(_column(measured, "surface_dice_3d")).estimate(0.0)
    return found


def _volume(measured: Measured) -> Scores:
    error = _column(measured, "volume_error")
    return {
        "error": mean(error).estimate(nothing=-1.0),
        "absolute_error": mean(np.abs(error)).estimate(nothing=1.0),
    }


def _lesions(measured: Measured) -> Scores:
    true, found, predicted, false = (
        _column(measured, f"lesions_{name}") for name in ("true", "found", "predicted", "false")
    )
    return {
        "sensitivity": ratio(found, true).estimate(nothing=0.0),
        "sensitivity_by_patient": mean(_share(found, true)).estimate(nothing=0.0),
        "precision": ratio(predicted - false, predicted).estimate(),
        "false_per_patient": mean(false).estimate(nothing=0.0),
    }


def _false_alarms(measured: Measured) -> Scores:
    alarms, empty = _column(measured, "false_alarms"), _column(measured, "empty_slices")
    return {
        "rate": ratio(alarms, empty).estimate(nothing=0.0),
        "rate_by_patient": mean(_share(alarms, empty)).estimate(nothing=0.0),
    }


def _calibration(histogram: Histogram) -> Scores:
    share = calibration.prevalence(histogram)
    parts: Mapping[str, Estimand] = {
        "calibration_error": calibration.calibration_error(histogram),
        "brier": calibration.brier(histogram),
        "average_precision": average_precision(histogram.ranks),
    }
    return {name: each.estimate(nothing=share) for name, each in parts.items()}


def _threshold(histogram: Histogram, val: Histogram) -> Threshold:
    best = calibration.best_threshold(val)
    on_val = calibration.dice_by_threshold(val).mean(0)
    dice = calibration.dice_by_threshold(histogram)
    at_best, at_half = dice[:, best], dice[:, calibration.HALF]
    return Threshold(
        value=float(calibration.THRESHOLDS[best]),
        val=(float(on_val[best]), float(on_val[calibration.HALF])),
        scores={
            "at_half": mean(at_half).estimate(),
            "at_best": mean(at_best).estimate(),
            "difference": mean(at_best - at_half).estimate(),
        },
    )


def _gain(measured: Measured) -> Scores:
    plain = overlap.scores(measured.plain)
    return {name: mean(_column(measured, name) - plain[name]).estimate() for name in overlap.NAMES}


def _column(measured: Measured, name: str) -> Floats:
    return measured.patients[name].to_numpy(np.float64)


def _share(parts: Floats, wholes: Floats) -> Floats:
    return np.where(wholes > 0, parts / np.maximum(wholes, 1), np.nan)
