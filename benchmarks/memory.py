"""What a worker that loads holds, and what is sent to it, as the data set grows."""

import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from benchmarks.row import Row, at_most
from benchmarks.scale import Scale
from brainseg.data.cache import Scans
from brainseg.data.dataset import SliceDataset
from brainseg.data.phantom import Phantom

SIZE = 128
SLICES = (30, 30)  # of each patient
ROLLUP = "/proc/{}/smaps_rollup"


def rows(scale: Scale) -> Iterator[Row]:
    """Memory of a worker, and size of the pickled data set, for few and for many slices."""
    few, many = (_dataset(patients) for patients in scale.growth)
    sent = [len(pickle.dumps(each)) for each in (many, few)]
    each = (sent[0] - sent[1]) / (len(many) - len(few))
    pixels = float(few.scans.images[0].nbytes)
    yield Row(
        "a slice more in the pickled data set", "its pixels", "B", [each], [pixels], at_most(0.01)
    )
    what = f"private memory of a worker, {len(many)} slices"
    against = f"{len(few)} slices"
    if not Path(ROLLUP.format("self")).is_file():
        yield Row(what, against, skipped="read from /proc on Linux alone")
        return
    ours, theirs = private_memory(many), private_memory(few)
    yield Row(what, against, "MB", [ours], [theirs], at_most(1.05))


def private_memory(dataset: SliceDataset) -> float:
    """MB that a worker alone holds once it has read every slice, in a process begun anew."""
    loader = DataLoader(
        dataset,
        batch_size=16,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context=multiprocessing.get_context("spawn"),
    )
    before = {child.pid for child in multiprocessing.active_children()}
    for _ in loader:
        pass
    (worker,) = {child.pid for child in multiprocessing.active_children()} - before
    (line,) = (
        row
        for row in Path(ROLLUP.format(worker)).read_text().splitlines()
        if row.startswith("Anonymous")  # not the pages of the memory map
    )
    return int(line.split()[1]) / 1024


def _dataset(patients: int) -> SliceDataset:
    phantom = Phantom(patients=patients, slices=SLICES, size=SIZE)
    scans = Scans(phantom, size=SIZE)
    scans.prepare()
    count = len(scans.index)
    return SliceDataset(scans, np.arange(count), patient=np.zeros(count, np.int64))
