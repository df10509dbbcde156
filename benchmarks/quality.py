"""Quality for the time: `val/dice` after some minutes of training, ours beside the plain recipe."""

import csv
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch

from benchmarks.inputs import data_words
from benchmarks.row import Row
from benchmarks.scale import Scale
from benchmarks.start import run, warm

OURS = ["data.crop=true", "data.size=auto"]
PLAIN = ["trainer.precision=32-true", "augment=none", "sampler=uniform"]
PLAIN += ["scheduler=constant", "callbacks=plain", "optimizer.lr=3e-4"]


def rows(scale: Scale) -> Iterator[Row]:
    """The best Dice by patient on the validation patients' original pixels so far.

    The plain recipe is every slice as it is, at its whole size, in float32, at a constant rate
    without averaged weights. Network, loss and seed are the same; both validate after 40 batches,
    since a plain epoch may take longer than there is time. On a CPU both train at once, with one
    thread each; on a GPU in turn.
    """
    case = scale.cases[0]
    common = ["-m", "brainseg.train", *data_words(case.patients, case.size), "epochs=100000"]
    common += ["model.net.width=16", f"model.net.depth={case.depth}"]
    common += ["trainer.limit_train_batches=40"]
    recipes = {"ours": OURS, "plain": [*PLAIN, f"data.size={case.size}"]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for words in recipes.values():  # building the caches is no part of the time
            warm(folder, [*common, *words])
        train = partial(_train, folder, common, max(scale.quality))
        with ThreadPoolExecutor(1 if torch.cuda.is_available() else 2) as pool:
            ours, plain = pool.map(train, recipes, recipes.values())
        for minutes in scale.quality:
            what = f"val Dice after {minutes:g} min, one core: crop, size=auto"
            against = f"the plain recipe: float32, {case.size} px"
            yield Row(what, against, "Dice", [_best(ours, minutes)], [_best(plain, minutes)])


def _train(folder: Path, common: list[str], minutes: float, which: str, words: list[str]) -> Path:
    timer = "+callbacks.timer"
    words = [
        *common,
        *words,
        "name=timed",
        f"{timer}._target_=lightning.pytorch.callbacks.Timer",
        f"{timer}.duration.seconds={round(60 * minutes)}",
        f"{timer}.interval=epoch",
    ]
    run(folder, which, words, {} if torch.cuda.is_available() else {"OMP_NUM_THREADS": "1"})
    return folder / which / "outputs" / "timed" / "history.csv"


def _best(history: Path, minutes: float) -> float:
    """Of the epochs that ended in time; the first where none did."""
    spent, best = 0.0, 0.0
    with history.open() as file:
        for row in csv.DictReader(file):
            spent += float(row["seconds"])
            if best and spent > 60 * minutes:
                break
            best = max(best, float(row["val/dice"]), 1e-9)
    return best
