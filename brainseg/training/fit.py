"""One cell from start, or from where it stopped, to its `metrics.json`."""

import json
import logging
import time
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping

from brainseg.cores import SharedCores
from brainseg.data.datamodule import PARTS, SegmentationDataModule
from brainseg.files import only_one, write_whole
from brainseg.hardware import describe, keep_freed_memory, use_threads
from brainseg.module import SegmentationModule
from brainseg.runs.cell import Cell
from brainseg.runs.checkpoint import load_checkpoint, load_weights
from brainseg.runs.folder import FAILED, HISTORY, LAST, METRICS, SPLIT, RunFolder
from brainseg.runs.identity import differences, identity
from brainseg.runs.provenance import CODE
from brainseg.training.build import build, build_trainer
from brainseg.training.callbacks import History
from brainseg.training.continuation import KeepStable, take_over
from brainseg.training.results import log_hyperparameters, log_scores, summary, write
from brainseg.training.score import Scored, score
from brainseg.training.sharing import ShareCores

log = logging.getLogger(__name__)


def fit(
    cell: Cell,
    *,
    title: str,
    epochs_after: int = 0,
    bar: bool = False,
    shorter: Cell | None = None,
) -> float:
    """Train a cell, or resume it, score it, write its folder, and return its best `val/dice`.

    Where the cell is finished already, nothing is done. One process at a time: a second waits.

    Args:
        cell: its precision and accelerator are resolved.
        title: what its lines in the log begin with.
        epochs_after: epochs that a sweep has still to train after this cell.
        bar: show a progress bar within the epoch.
        shorter: a finished cell that a cell not yet begun continues (`Cell.shorter`).

    Raises:
        ValueError: the folder holds another configuration, or values do not fit together.
        FloatingPointError: the loss was not finite.
    """
    cell.folder.parent.mkdir(parents=True, exist_ok=True)
    with only_one(RunFolder(cell.folder).lock, f"{cell.folder} is being trained"):
        cell.refuse_other()
        if cell.finished:
            log.info("%s  finished before; choose another name=... to train it again", title)
        else:
            _fit(cell, title, epochs_after, bar, shorter)
    dice = RunFolder(cell.folder).dice
    assert dice is not None
    return dice


def _clear(folder: Path, title: str) -> None:
    """Remove what the last try left that says how it ended."""
    try:
        _ = RunFolder(folder).metrics
    except ValueError as error:
        log.warning("%s  scores its checkpoints anew: %s", title, error)
    for name in (METRICS, FAILED):
        (folder / name).unlink(missing_ok=True)


def _fit(cell: Cell, title: str, epochs_after: int, bar: bool, shorter: Cell | None) -> None:
    started = time.perf_counter()
    torch.set_float32_matmul_precision("high")
    accelerator = cell.config["trainer"]["accelerator"]
    keep_freed_memory(accelerator)
    history = History(cell.folder / HISTORY, title, epochs_after)
    data, module = build(cell.config)
    sharing = ShareCores(accelerator)
    keep = KeepStable(cell.folder, cell.in_common)
    trainer = build_trainer(cell.config, cell.folder, [sharing, history, keep], bar=bar)
    cell.claim()  # only now: what does not fit together leaves nothing
    _clear(cell.folder, title)
    _refuse_other_data(cell, data)
    last = cell.folder / LAST
    if shorter is not None and not last.is_file():
        take_over(cell, shorter, title)
    complete = _complete(cell, history)
    threads = use_threads(history.threads if accelerator == "cpu" else None)
    sharing.begin()
    history.here = {"hardware": describe(accelerator), **CODE}
    log.info("%s  %s", title, _announcement(cell, data, module, threads))
    log.info("%s  %s; resume with: %s", title, cell.folder, cell.command)
    log_hyperparameters(trainer, cell)
    if not complete:
        if last.is_file():
            log.info("%s  resumes after its last whole epoch", title)
            data.first_epoch = len(history.rows)
        trainer.fit(module, data, ckpt_path=last if last.is_file() else None, weights_only=True)
    trained = time.perf_counter()
    scored = _score_both(cell, trainer, module, data, history, sharing.cores)
    seconds = {
        "epochs": history.seconds,
        "scoring": time.perf_counter() - trained,
        "start": trained - started - history.seconds_now,
    }
    metrics = summary(cell, scored, data, module, history, seconds)
    log_scores(trainer, scored)
    write(cell.folder, scored, data, metrics)
    dice = {part: scored["best"][part].scores["dice"] for part in PARTS}
    log.info(
        "%s  finished: Dice by patient of the best epoch (%d): train %.3f, val %.3f, test %.3f",
        title,
        metrics["best_epoch"],
        *dice.values(),
    )


def _score_both(
    cell: Cell,
    trainer: L.Trainer,
    module: SegmentationModule,
    data: SegmentationDataModule,
    history: History,
    shared: SharedCores,
) -> dict[str, dict[str, Scored]]:
    """Scores of the best and the last checkpoint on every split; once where they are the same."""
    module.to(trainer.strategy.root_device)
    forward = trainer.precision_plugin.forward_context
    scored: dict[str, dict[str, Scored]] = {}
    for which in ("best", "last"):
        if which == "last" and history.best_epoch == len(history.rows):
            scored["last"] = scored["best"]
            break
        load_weights(module, load_checkpoint(cell.folder / "checkpoints" / f"{which}.ckpt"))
        scored[which] = {
            part: score(module, data, part, forward=forward(), shared=shared) for part in PARTS
        }
    return scored


def _complete(cell: Cell, history: History) -> bool:
    """Whether training is over: all epochs, or stopped early; then the history is taken over.

    Lightning would train one more epoch each time an early-stopped run is resumed.
    """
    path = cell.folder / LAST
    if not path.is_file():
        return False
    checkpoint = load_checkpoint(path)
    if changed := differences(identity(checkpoint["config"]), identity(cell.config)):
        raise ValueError(
            f"{path} was trained with another configuration ({'; '.join(changed)}); "
            f"move {cell.folder} away, or choose another name=..."
        )
    callbacks = checkpoint["callbacks"]
    history.load_state_dict(callbacks[history.state_key])
    stopped = any(
        state["wait_count"] >= state["patience"]
        for key, state in callbacks.items()
        if key.startswith(EarlyStopping.__name__)
    )
    return stopped or len(history.rows) >= cell.config["epochs"]


def _refuse_other_data(cell: Cell, data: SegmentationDataModule) -> None:
    """Keep the split and the data's fingerprint; refuse to resume on other data."""
    path = cell.folder / SPLIT
    here = {
        "fingerprint": data.scans.fingerprint,
        "leaky": data.split.leaky,
        "members": data.members,
    }
    if path.is_file() and json.loads(path.read_text()) != here:
        raise ValueError(
            f"{cell.folder} was started on other scans or another split than data.root now gives; "
            "point data.root at the same scans, or choose another name=..."
        )
    write_whole(path, json.dumps(here, indent=1))


def _announcement(
    cell: Cell, data: SegmentationDataModule, module: SegmentationModule, threads: str
) -> str:
    own = cell.config["trainer"]
    counts = {part: (len(data.members[part]), len(getattr(data.split, part))) for part in PARTS}
    slices = ", ".join(f"{part} {n} patients {s} slices" for part, (n, s) in counts.items())
    return (
        f"{sum(p.numel() for p in module.net.parameters()):,} parameters, "
        f"{own['precision']} on {describe(own['accelerator'])['device']}, {threads}; {slices}"
    )
