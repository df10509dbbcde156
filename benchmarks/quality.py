"""Quality for the time: `val/dice` after some minutes of training, ours beside the plain recipe."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.inputs import data_words
from benchmarks.row import Row
from benchmarks.scale import Scale
from benchmarks.start import run

OURS = ["data.crop=true", "data.size=auto"]
PLAIN = ["trainer.precision=32-true", "augment=none", "sampler=uniform"]


def rows(scale: Scale) -> Iterator[Row]:
    """Dice by patient on the validation patients' original pixels, of the best epoch.

    The plain recipe is every slice as it is, at its whole size, in float32. Network, loss,
    optimizer and seed are the same; both validate after 40 batches, since a plain epoch may take
    longer than there is time.
    """
    case = scale.cases[0]
    common = ["-m", "brainseg.train", *data_words(case.patients, case.size), "epochs=100000"]
    common += ["model.net.width=16", f"model.net.depth={case.depth}"]
    common += ["trainer.limit_train_batches=40"]
    recipes = (OURS, [*PLAIN, f"data.size={case.size}"])
    with tempfile.TemporaryDirectory() as name:
        for number, words in enumerate(recipes):  # building the caches is no part of the time
            run(Path(name), f"warm{number}", [*common, *words, "epochs=1"])
        for minutes in scale.quality:
            dice = [_dice(Path(name), [*common, *words], minutes) for words in recipes]
            what = f"val Dice after {minutes:g} min: crop, size=auto"
            against = f"the plain recipe: float32, {case.size} px"
            yield Row(what, against, "Dice", [dice[0]], [dice[1]])


def _dice(folder: Path, words: list[str], minutes: float) -> float:
    timer = "+callbacks.timer"
    words = [
        *words,
        f"{timer}._target_=lightning.pytorch.callbacks.Timer",
        f"{timer}.duration.seconds={round(60 * minutes)}",
        f"{timer}.interval=epoch",
    ]
    name = f"{len(list(folder.iterdir()))}"
    run(folder, name, [*words, "name=timed"])
    metrics = json.loads((folder / name / "outputs" / "timed" / "metrics.json").read_text())
    return float(metrics["scores"]["best"]["val"]["dice"])
