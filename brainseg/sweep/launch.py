"""What our Hydra launcher does: every cell in a process of its own, several side by side.

Finished cells are skipped, longer ones come after the shorter ones that they continue, and a cell
that is killed, or runs out of memory, takes only itself along. This process composes, prepares the
data, waits and prints; it imports neither torch nor Lightning, which a forkserver has.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, read_write

from brainseg import cores, hardware
from brainseg.errors import terminable
from brainseg.files import only_one
from brainseg.runs.cell import Cell, finished_in
from brainseg.runs.folder import RunFolder
from brainseg.runs.identity import differences, flat
from brainseg.sweep import manifest, process
from brainseg.sweep.outcome import interrupted
from brainseg.sweep.plan import plan
from brainseg.sweep.process import Child, Slot
from brainseg.sweep.table import text
from brainseg.sweep.worker import Turn, cell_of, fingerprint, resolved
from brainseg.values import check

_USUAL_MEMORY = 3000  # MB of a cell of which nothing is known, its share of torch included

log = logging.getLogger(__name__)


def launch(configs: Sequence[DictConfig], jobs: int | str) -> list[float | None]:
    """Train the cells of one batch of a sweeper; the best val Dice of each, None where it failed.

    Args:
        configs: composed, with Hydra's own settings; two may be the same cell.
        jobs: cells side by side; `auto`: as many as cards, or else cores and memory, allow.

    Raises:
        ValueError: a value is bad, or a folder is another cell's; nothing is trained then.
        SystemExit: interrupted (130, 143).
    """
    cells = [_cell(config) for config in configs]
    once = _in_order(cells)
    _check_jobs(jobs)
    folder = once[0].folder.parent
    if once[0].config["plan"]:
        log.info(text(plan(once, finished_in(folder))))
        return [None] * len(configs)
    composed = {cell.folder: config for cell, config in zip(cells, configs, strict=True)}
    try:
        with terminable(), only_one(folder / manifest.LOCK, f"{folder} is being trained"):
            context = process.processes()
            once, cards = _resolved(once, context)
            manifest.write(once, finished_in(folder))
            _prepare_data(once)
            _train(once, composed, context, _slots(once, jobs, cards))
    except (KeyboardInterrupt, SystemExit) as stop:
        interrupted(stop, once[0].command)
    found = [RunFolder(cell.folder) for cell in cells]
    return [there.dice if there.finished else None for there in found]


def _cell(config: DictConfig) -> Cell:
    settings = config.hydra
    sweep = Path(settings.sweep.dir).absolute()
    folder = sweep / settings.sweep.subdir
    with read_write(settings):  # a child composes nothing, and has a clock of its own
        settings.sweep.dir, settings.sweep.subdir = str(sweep), folder.name
    return cell_of(config, settings, folder)


def _check_jobs(jobs: object) -> None:
    """Refuse what `config.check` cannot see: the launcher's own key."""
    whole = isinstance(jobs, int) and not isinstance(jobs, bool) and jobs >= 1
    if jobs != "auto" and not whole:
        raise ValueError(
            f"hydra.launcher.jobs={jobs} must be auto or a whole number >= 1; leave it out and set "
            "jobs=... to one"
        )


def _in_order(cells: Sequence[Cell]) -> list[Cell]:
    """The cells, each once, and those with fewer epochs first.

    Raises:
        ValueError: a value is bad, or two cells would share a folder.
    """
    once: dict[Path, Cell] = {}
    for cell in cells:
        check(cell.config)
    for cell in sorted(cells, key=lambda cell: int(cell.config["epochs"])):
        other = once.setdefault(cell.folder, cell)
        if changed := differences(flat(other.config), flat(cell.config)):
            raise ValueError(
                f"two cells would share {cell.folder}: {'; '.join(changed)}; what makes no other "
                "cell cannot be swept: give each value a name=... of its own (a comma within a "
                """value needs quotes: 'question="norm, or loss?"')"""
            )
    return list(once.values())


def _resolved(cells: Sequence[Cell], context: Any) -> tuple[list[Cell], list[str]]:
    """The cells with their hardware resolved, and the cards that they may use.

    Raises:
        ValueError: a folder is another cell's.
    """
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=process.end_with_parent)
    with pool, process.without_main():
        known = list(pool.map(resolved, cells))
        gpu = known[0].config["trainer"]["accelerator"] == "gpu"
        cards = pool.submit(hardware.cards).result() if gpu else []
    for cell in known:
        cell.refuse_other()
    return known, cards


def _prepare_data(cells: Sequence[Cell]) -> None:
    """Check and cache each data set once, before any cell trains.

    Raises:
        ValueError: the scans have faults, or a finished cell was trained on others.
    """
    known: dict[str, str | None] = {}  # fingerprints
    for cell in sorted(cells, key=lambda cell: cell.finished):
        data = str(cell.config["data"])
        if data not in known:
            known[data] = fingerprint(cell)
        if found := known[data]:
            cell.refuse_other_scans(found)


def _slots(cells: Sequence[Cell], jobs: int | str, cards: Sequence[str]) -> list[Slot]:
    """What each of the cells side by side may use; all of the machine for a single one."""
    number = jobs if isinstance(jobs, int) else _as_many_as_fit(cells, cards)
    if number == 1:
        return [Slot()]
    share = max(1, cores.cores() // number)
    return [Slot(share, cards[k % len(cards)] if cards else None) for k in range(number)]


def _as_many_as_fit(cells: Sequence[Cell], cards: Sequence[str]) -> int:
    done = [RunFolder(cell.folder).metrics or {} for cell in finished_in(cells[0].folder.parent)]
    known = [each.get("peak_memory_mb", {}).get("host", _USUAL_MEMORY) for each in done]
    need = max(known, default=_USUAL_MEMORY)
    there, free = cores.cores(), hardware.free_memory()
    number = max(1, int(min(len(cards) or there, there, free // need)))
    have = f"{len(cards)} GPUs, " if cards else ""
    log.info(
        "jobs=auto: %d side by side (%s%d cores, %.1f GB of memory free, a cell takes %.1f GB)",
        *(number, have, there, free / 1000, need / 1000),
    )
    return number


def _train(
    cells: Sequence[Cell], composed: dict[Path, DictConfig], context: Any, slots: list[Slot]
) -> None:
    """Try every cell that is not finished, in as many processes as there are slots."""
    begun_before = sum(cell.finished for cell in cells)
    log.info("%d cells, %d of them finished; %s", len(cells), begun_before, cells[0].folder.parent)
    titles = {
        cell.folder: f"cell {number} of {len(cells)} {cell.folder.name}"
        for number, cell in enumerate(cells, 1)
    }
    waiting, free = list(cells), list(slots)
    running: list[Child] = []
    try:
        while waiting or running:
            while free and (cell := _next(waiting, [child.cell for child in running])):
                waiting.remove(cell)
                title = titles[cell.folder]
                if cell.finished:
                    log.info("%s  finished before, skipped", title)
                    continue
                after = sum(later.epochs_left(cells) for later in waiting) // len(slots)
                turn = Turn(title, after, alone=len(slots) == 1, told=True)
                config = composed[cell.folder]
                running.append(Child(context, cell, config, turn, free.pop(0)))
            Child.wait(running)
            for child in [child for child in running if child.over()]:
                child.finish()
                running.remove(child)
                free.append(child.slot)
    finally:
        for child in running:
            child.stop()


def _next(waiting: Sequence[Cell], running: Sequence[Cell]) -> Cell | None:
    """The first that does not continue a cell still to be trained; that one comes first."""
    return next((cell for cell in waiting if not cell.shorter([*waiting, *running])), None)
