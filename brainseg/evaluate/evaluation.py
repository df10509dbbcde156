"""One evaluation: from run folders to a folder of card, tables and pictures."""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from tqdm import tqdm

from brainseg.data.cache import Scans
from brainseg.evaluate.calibration import Histogram, histogram, together
from brainseg.evaluate.card import Card, card
from brainseg.evaluate.charts import charts
from brainseg.evaluate.facts import facts, with_parts
from brainseg.evaluate.folder import claimed, write
from brainseg.evaluate.measure import measure
from brainseg.evaluate.pictures import pictures
from brainseg.evaluate.request import Request
from brainseg.evaluate.selection import by_fold, refuse_other_slices, refuse_twice, select
from brainseg.evaluate.trained import Trained, open_run
from brainseg.inference import Rows, Volume, volumes

log = logging.getLogger(__name__)


class Opened(NamedTuple):
    """What is scored by the mean of some runs: all of a request, or one of its folds.

    Attributes:
        runs: in the order of the request.
        scans: of each run, prepared as its own were.
        own: whether they are those of the training.
        rows: of the scans' index.
    """

    runs: list[Trained]
    scans: list[Scans]
    own: bool
    rows: Rows


def opened(request: Request) -> list[Opened]:
    """The runs, scans and slices of a request; of several folds one for each.

    Raises:
        ValueError: a run or the scans cannot be used; names it, and the remedy.
    """
    torch.set_float32_matmul_precision("high")  # as in training, for the same bits
    refuse_twice(request.runs)
    runs = [open_run(folder, request.checkpoint) for folder in request.runs]
    folds = by_fold(runs, request.split, elsewhere=request.elsewhere)
    if len(folds) > 1:
        log.info("%d folds: each patient is scored by the network that tested it", len(folds))
    known: dict[str, Scans] = {}
    found = [_opened(fold, request, known) for fold in folds]
    refuse_other_slices([scans for each in found for scans in each.scans])
    return found


def _opened(runs: list[Trained], request: Request, known: dict[str, Scans]) -> Opened:
    scans = []
    for run in runs:
        # with CT, each fold has windows of its own
        alike = str((run.config["data"], run.prepared, run.fingerprint))
        if alike not in known:
            known[alike] = run.scans(
                request.root, data=request.data, skip_faulty=request.skip_faulty
            )
        scans.append(known[alike])
    # the same scans may lie under another root
    own = not request.elsewhere or scans[0].fingerprint == runs[0].fingerprint
    rows = select(
        runs,
        scans[0].index,
        request.split,
        elsewhere=not own or (request.elsewhere and request.split == "all"),
        persons=scans[0].persons,
        allow_seen=request.allow_seen,
    )
    return Opened(runs, scans, own, rows)


def evaluate(request: Request) -> dict[str, Card]:
    """Evaluate runs and write `request.folder`, whole or not at all; a card of each region.

    Raises:
        ValueError: a run, the scans or the folder cannot be used; names it, and the remedy.
    """
    folds = opened(request)
    own, scans, runs = folds[0].own, folds[0].scans[0], [fold.runs for fold in folds]
    with claimed(request.folder) as folder:
        each_fold = (_predicted(fold, request.split, tta=request.tta) for fold in folds)
        measured = measure(chain.from_iterable(each_fold), request.rules)
        measured = with_parts(measured, runs, request.split, own=own, persons=scans.persons)
        val: dict[str, Histogram] = {name: each.histogram for name, each in measured.items()}
        said = ""
        if not own or request.split != "val":
            val, said = _val(folds, request)
        cards = {
            name: card(each, val=val.get(name), tta=request.tta) for name, each in measured.items()
        }
        figures = {}
        for name, each in measured.items():
            drawn = charts(each.patients, each.histogram, val.get(name), request.split)
            for chart in drawn.values() if len(measured) > 1 else ():
                chart.suptitle(name)
            figures[name] = {**drawn, **pictures(scans, each.patients, each.strips, name)}
        known = facts(request, runs, scans, measured, said)
        write(folder, cards=cards, measured=measured, facts=known, figures=figures)
    return cards


def _predicted(of: Opened, what: str, *, tta: bool) -> Iterator[Volume]:
    members = [(run.model, own) for run, own in zip(of.runs, of.scans, strict=True)]
    scans = of.scans[0]
    patients = int(scans.index["patient"].iloc[of.rows].nunique())
    found, regions = volumes(members, of.rows, tta=tta), len(scans.regions)
    unit, total = "patient" if regions == 1 else "region", patients * regions
    bar = tqdm(found, f"predicting {what}", total, unit=unit, leave=False, disable=None)
    yield from bar


def _val(folds: Sequence[Opened], request: Request) -> tuple[dict[str, Histogram], str]:
    """The probabilities on val, on which thresholds are chosen, by region; what to say of them.

    Those of the training's own scans; where these are gone, of the patients of val under `root`.
    """
    found: dict[str, list[Histogram]] = {}
    said = "the threshold below is chosen on the val patients of all folds; other folds test them"
    said = said if len(folds) > 1 else ""
    for of in folds:
        if any(run.members != of.runs[0].members for run in of.runs):
            return {}, ""
        if not of.own:
            try:
                of = of._replace(scans=[run.scans() for run in of.runs], own=True)
            except ValueError as error:  # they are no longer there
                said = f"no threshold from the scans of the training: {error}"
                log.warning(said)
        if not of.own and not _has_val(of.runs[0], of.scans[0]):
            return {}, said
        rows = select(of.runs, of.scans[0].index, "val", elsewhere=not of.own)
        what = "val, for its threshold"
        for volume in _predicted(of._replace(rows=rows), what, tta=request.tta):
            found.setdefault(volume.region, []).append(histogram(volume.probs, volume.target))
    # of another data set, by their place
    names = dict(zip(found, folds[0].scans[0].regions, strict=True))
    return {names[region]: together(each) for region, each in found.items()}, said


def _has_val(run: Trained, scans: Scans) -> bool:
    """Whether every patient of val is among other scans than those of the training."""
    return not run.leaky and set(run.members["val"]) <= set(scans.index["patient"])
