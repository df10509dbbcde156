"""One evaluation: from run folders to a folder of card, tables and pictures."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import torch
from tqdm import tqdm

from brainseg.data.cache import Scans
from brainseg.evaluate.about import about, with_parts
from brainseg.evaluate.calibration import Histogram, histogram, together
from brainseg.evaluate.card import Card, card
from brainseg.evaluate.charts import charts
from brainseg.evaluate.folder import claimed, write
from brainseg.evaluate.measure import measure
from brainseg.evaluate.pictures import pictures
from brainseg.evaluate.predict import Rows, Volume, volumes
from brainseg.evaluate.request import Request
from brainseg.evaluate.selection import refuse_other_slices, refuse_twice, refuse_unlike, select
from brainseg.evaluate.trained import Trained, open_run


def evaluate(request: Request) -> Card:
    """Evaluate runs and write `request.folder`, whole or not at all.

    Raises:
        ValueError: a run, the scans or the folder cannot be used; names it, and the remedy.
    """
    torch.set_float32_matmul_precision("high")  # as in training, for the same bits
    refuse_twice(request.runs)
    runs = [open_run(folder, request.checkpoint) for folder in request.runs]
    refuse_unlike(runs, request.split, elsewhere=request.root is not None)
    scans = [run.scans(request.root, skip_faulty=request.skip_faulty) for run in runs]
    refuse_other_slices(scans)
    elsewhere = request.root is not None and scans[0].fingerprint != runs[0].fingerprint
    rows = select(
        runs,
        scans[0].index,
        request.split,
        elsewhere=elsewhere or (request.root is not None and request.split == "all"),
        allow_seen=request.allow_seen,
    )
    with claimed(request.folder) as folder:
        predicted = _predicted(runs, scans, rows, request.split, tta=request.tta)
        measured = measure(predicted, request.rules)
        measured = with_parts(measured, runs, request.split, elsewhere=elsewhere)
        own = request.split == "val" and not elsewhere
        val = measured.histogram if own else _val(runs, scans, request, elsewhere=elsewhere)
        scored = card(measured, request.rules, val=val, tta=request.tta)
        write(
            folder,
            card=scored,
            measured=measured,
            about=about(request, runs, scans[0], measured),
            figures={
                **charts(measured.patients, measured.histogram, val, request.split),
                **pictures(scans[0], measured.patients, measured.strips),
            },
        )
    return scored


def _predicted(
    runs: Sequence[Trained], scans: Sequence[Scans], rows: Rows, what: str, *, tta: bool
) -> Iterator[Volume]:
    members = list(zip(runs, scans, strict=True))
    patients = int(scans[0].index["patient"].iloc[rows].nunique())
    found = volumes(members, rows, tta=tta)
    bar = tqdm(found, f"predicting {what}", patients, unit="patient", leave=False, disable=None)
    yield from bar


def _val(
    runs: Sequence[Trained], scans: Sequence[Scans], request: Request, *, elsewhere: bool
) -> Histogram | None:
    """The probabilities on val: of the training's own scans, else of those under `root`."""
    if any(run.members != runs[0].members for run in runs):
        return None
    if elsewhere:
        with suppress(ValueError):  # they are no longer there
            scans, elsewhere = [run.scans() for run in runs], False
    if elsewhere and not _has_val(runs[0], scans[0]):
        return None
    rows = select(runs, scans[0].index, "val", elsewhere=elsewhere)
    predicted = _predicted(runs, scans, rows, "val, for its threshold", tta=request.tta)
    return together([histogram(volume.probs, volume.target) for volume in predicted])


def _has_val(run: Trained, scans: Scans) -> bool:
    """Whether every patient of val is among other scans than those of the training."""
    return not run.leaky and set(run.members["val"]) <= set(scans.index["patient"])
