"""One evaluation: from run folders to a folder of card, tables and pictures."""

import logging
from collections.abc import Iterator, Sequence
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
from brainseg.evaluate.selection import refuse_other_slices, refuse_twice, refuse_unlike, select
from brainseg.evaluate.trained import Trained, open_run
from brainseg.inference import Rows, Volume, volumes

log = logging.getLogger(__name__)


class Opened(NamedTuple):
    """What is scored.

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


def opened(request: Request) -> Opened:
    """The runs, scans and slices of a request.

    Raises:
        ValueError: a run or the scans cannot be used; names it, and the remedy.
    """
    torch.set_float32_matmul_precision("high")  # as in training, for the same bits
    refuse_twice(request.runs)
    runs = [open_run(folder, request.checkpoint) for folder in request.runs]
    refuse_unlike(runs, request.split, elsewhere=request.elsewhere)
    scans = [
        run.scans(request.root, data=request.data, skip_faulty=request.skip_faulty) for run in runs
    ]
    refuse_other_slices(scans)
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
    runs, scans, own, rows = opened(request)
    with claimed(request.folder) as folder:
        predicted = _predicted(runs, scans, rows, request.split, tta=request.tta)
        measured = measure(predicted, request.rules)
        measured = with_parts(
            measured, runs, request.split, elsewhere=not own, persons=scans[0].persons
        )
        val: dict[str, Histogram] = {name: each.histogram for name, each in measured.items()}
        said = ""
        if not own or request.split != "val":
            val, said = _val(runs, scans, request, own=own)
        cards = {
            name: card(each, val=val.get(name), tta=request.tta) for name, each in measured.items()
        }
        figures = {}
        for name, each in measured.items():
            drawn = charts(each.patients, each.histogram, val.get(name), request.split)
            for chart in drawn.values() if len(measured) > 1 else ():
                chart.suptitle(name)
            figures[name] = {**drawn, **pictures(scans[0], each.patients, each.strips, name)}
        known = facts(request, runs, scans[0], measured, said)
        write(folder, cards=cards, measured=measured, facts=known, figures=figures)
    return cards


def _predicted(
    runs: Sequence[Trained], scans: Sequence[Scans], rows: Rows, what: str, *, tta: bool
) -> Iterator[Volume]:
    members = [(run.model, own) for run, own in zip(runs, scans, strict=True)]
    patients = int(scans[0].index["patient"].iloc[rows].nunique())
    found, regions = volumes(members, rows, tta=tta), len(scans[0].regions)
    unit, total = "patient" if regions == 1 else "region", patients * regions
    bar = tqdm(found, f"predicting {what}", total, unit=unit, leave=False, disable=None)
    yield from bar


def _val(
    runs: Sequence[Trained], scans: Sequence[Scans], request: Request, *, own: bool
) -> tuple[dict[str, Histogram], str]:
    """The probabilities on val, on which thresholds are chosen, by region; what to say of them.

    Those of the training's own scans; where these are gone, of the patients of val under `root`.
    """
    if any(run.members != runs[0].members for run in runs):
        return {}, ""
    said, regions = "", scans[0].regions
    if not own:
        try:
            scans, own = [run.scans() for run in runs], True
        except ValueError as error:  # they are no longer there
            said = f"no threshold from the scans of the training: {error}"
            log.warning(said)
    if not own and not _has_val(runs[0], scans[0]):
        return {}, said
    rows = select(runs, scans[0].index, "val", elsewhere=not own)
    predicted = _predicted(runs, scans, rows, "val, for its threshold", tta=request.tta)
    found: dict[str, list[Histogram]] = {}
    for volume in predicted:
        found.setdefault(volume.region, []).append(histogram(volume.probs, volume.target))
    names = dict(zip(found, regions, strict=True))  # of another data set, by their place
    return {names[region]: together(each) for region, each in found.items()}, said


def _has_val(run: Trained, scans: Scans) -> bool:
    """Whether every patient of val is among other scans than those of the training."""
    return not run.leaky and set(run.members["val"]) <= set(scans.index["patient"])
