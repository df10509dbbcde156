"""How good weights are that all patients trained: the same recipe's folds, each on its own."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from brainseg.data.cache import Scans
from brainseg.data.reader import ALIASES
from brainseg.evaluate.calibration import (
    THRESHOLDS,
    Histogram,
    best_threshold,
    histogram,
    temperature,
    together,
)
from brainseg.evaluate.interval import Estimand, mean, median
from brainseg.loaded import rebuilt
from brainseg.metrics import count, dice
from brainseg.predict.features import FEW, features
from brainseg.predict.load import load
from brainseg.predict.scan import FLAIR, Scan
from brainseg.predict.segmenter import Segmenter, calibrated
from brainseg.runs.checkpoint import load_checkpoint
from brainseg.runs.folder import LAST, RunFolder

# what published weights do that a run does not, beside `few`: each won out of fold, docs/results
HABITS: Any = {"tta": True, "least_part": 0.1}
WHOLE, ALONE = "dice", "flair_alone"  # keys of a card's scores
FAILED = 0.5  # Dice below which a patient counts as failed


def out_of_fold(cells: Sequence[RunFolder]) -> dict[str, Any]:
    """Thresholds, temperature and scores from folds, as they stand in the card.

    Each fold's threshold is the best of its own val patients, and counts for its test patients;
    the card's is the best of all folds' val patients. That of one sequence alone is chosen in the
    same way, where the val patients lose the others. Weights are rounded to float16 before.

    Args:
        cells: finished runs of one recipe, a fold each.

    Raises:
        ValueError: a patient is tested twice, or its scans cannot be read.
    """
    tested: dict[str, dict[str, float]] = {}
    validated: dict[str, list[Histogram]] = {WHOLE: [], ALONE: []}
    seen: list[dict[str, float]] = []
    for cell in cells:
        members = cell.required_metrics["split"]["members"]
        if twice := sorted(set(members["test"]) & tested.keys()):
            raise ValueError(f"{cell.path} tests {twice[0]}, which another fold has tested")
        segmenter = as_published(cell)
        if len(segmenter.regions) > 1:
            raise ValueError(
                f"{cell.path} segments {', '.join(segmenter.regions)}; folds are scored on one "
                "region: export a run, or train with data.regions=[one]"
            )
        config = load_checkpoint(cell.path / LAST)["config"]
        val: dict[str, list[Histogram]] = {WHOLE: [], ALONE: []}
        for scan, target in patients(config, members["val"]):
            met = ways(scan)
            for key, found in val.items():
                found.append(_histogram(segmenter, met.get(key, met[WHOLE]), target))
        whole, alone = (_best(val[key]) for key in (WHOLE, ALONE))
        cut = replace(segmenter, threshold=whole, threshold_alone=alone)
        for scan, target in patients(config, members["test"]):
            seen.append(features(scan))
            tested[scan.name] = {
                key: volume_dice(cut, each, target) for key, each in ways(scan).items()
            }
        for key, found in val.items():
            validated[key] += found
    degree = temperature(together(validated[WHOLE]))
    whole, alone = (
        float(calibrated(np.float32(_best(validated[key])), degree)) for key in (WHOLE, ALONE)
    )
    ranges = {key: [each[key] for each in seen if each] for key in next(filter(None, seen), {})}
    return {
        **HABITS,
        "features": {k: [round(min(v), 4), round(max(v), 4)] for k, v in ranges.items()},
        "threshold": round(whole, 4),
        "threshold_alone": round(alone, 4),
        "temperature": round(degree, 4),
        "scores": {
            "of": f"{len(tested)} patients out of fold, {len(cells)} folds, original pixels",
            **{
                key: _summary([each[key] for each in tested.values()])
                for key in next(iter(tested.values()))
            },
        },
    }


def patients(
    config: dict[str, Any], names: Collection[str]
) -> Iterator[tuple[Scan, NDArray[np.bool_]]]:
    """Patients as they lie on the disk, sequences as weights name them, with their masks."""
    scans: Scans = rebuilt(config["data"])
    scans.prepare()  # with a CT, whose windows the reader then has
    known = {each.name: each for each in scans.reader.find(scans.root).patients}
    if absent := sorted(set(names) - known.keys()):
        raise ValueError(f"{absent[0]} is not under data.root={scans.root}; restore the scans")
    for name in tqdm(names, "scoring out of fold", unit="patient", delay=2, disable=None):
        images, masks, *_ = scans.reader.read(known[name])
        names_of = [ALIASES.get(each, each) for each in scans.reader.modalities]
        sequences = {each: images[..., k] for k, each in enumerate(names_of)}
        main = FLAIR if FLAIR in sequences else names_of[0]
        region = (config["data"].get("regions") or scans.reader.regions)[0]
        bit = scans.reader.regions.index(region)
        yield Scan(name, sequences, {}, main=main), (masks >> bit & 1).astype(bool)


def ways(scan: Scan) -> dict[str, list[Scan]]:
    """A patient as `predict` may meet it: whole, FLAIR alone of several, each slice by itself."""
    found = {WHOLE: [scan]}
    if scan.main == FLAIR and len(scan.sequences) > 1:
        found[ALONE] = [replace(scan, sequences={FLAIR: scan.first})]
    slices = range(len(scan.first))
    return found | {
        "lone_slices": [
            replace(scan, sequences={key: each[k : k + 1] for key, each in scan.sequences.items()})
            for k in slices
        ]
    }


def as_published(cell: RunFolder) -> Segmenter:
    """A fold's last checkpoint as it would be published."""
    trained = load([cell.path / LAST])
    for model in trained.models:
        model.module.half().float()
    return replace(trained, preprocessing=replace(trained.preprocessing, few=few(cell)), **HABITS)


def few(cell: RunFolder) -> int:
    """Slices below which published weights cut nothing: `FEW`, or the fewest of its patients."""
    table = cell.patients
    return FEW if table is None else min(FEW, int(table["slices"].min()))


def _best(found: list[Histogram]) -> float:
    return float(THRESHOLDS[best_threshold(together(found))])


def _histogram(segmenter: Segmenter, scans: Sequence[Scan], target: NDArray[np.bool_]) -> Histogram:
    """Of a patient, whose slices are one scan or several."""
    return histogram(np.concatenate([segmenter.probabilities(each)[0] for each in scans]), target)


def volume_dice(segmenter: Segmenter, scans: Sequence[Scan], target: NDArray[np.bool_]) -> float:
    """Dice of a patient, whose slices are one scan or several."""
    masks = [
        segmenter.mask(segmenter.probabilities(each), segmenter.cut(each))[0] for each in scans
    ]
    both = (np.concatenate(masks), target)
    pair = (torch.from_numpy(each).flatten(0, 1)[None, None] for each in both)
    return float(dice(count(*pair)))


def _summary(values: Sequence[float]) -> dict[str, Any]:
    dice = np.array(values)
    return {
        "mean": _estimate(mean(dice)),
        "median": _estimate(median(dice)),
        f"below_{FAILED}": int((dice < FAILED).sum()),
        "least": round(float(dice.min()), 4),
    }


def _estimate(estimand: Estimand) -> list[float | None]:
    """Value, and the two ends of its 95 % interval."""
    found = estimand.estimate()
    ends = (found.value, found.low, found.high)
    return [None if each is None else round(each, 4) for each in ends]
