"""Learning curves: by level of a factor, with the band over seeds, and where they flatten."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainseg.report.configurations import Configuration
from brainseg.report.factors import level_order

NEAR = 0.01  # of the best val Dice: closer than this a curve has stopped rising

Curve = NDArray[np.float64]  # a value per epoch, nan where no run came so far


@dataclass(frozen=True)
class Band:
    """Curves of one level: the mean over seeds, and the lowest and highest seed."""

    mean: Curve
    low: Curve
    high: Curve


@dataclass(frozen=True)
class Flat:
    """Where more epochs stopped helping a configuration.

    Attributes:
        name: of the configuration.
        epochs: trained, mean over its cells.
        best_epoch: mean over its cells.
        flat: first epoch from which on the running best of val Dice is within 0.01 of the final
            one; mean over its cells.
        gap: train less test Dice at the best epoch; None where either was not scored.
        last: mean test Dice of the last epoch, None without test scores.
    """

    name: str
    epochs: float
    best_epoch: float
    flat: float
    gap: float | None
    last: float | None


def curves(configurations: Sequence[Configuration], factor: str, column: str) -> dict[str, Band]:
    """By level of a factor, a column of `history.csv` such as `val/dice`.

    Each seed's curve is the mean over all its cells of that level; an epoch that only some of them
    reached is the mean of those.
    """
    bands = {}
    for level in level_order(factor, [each.levels[factor] for each in configurations]):
        by_seed: dict[int, list[pd.Series[float]]] = {}
        for each in configurations:
            for result in each.results:
                if each.levels[factor] == level and column in result.history:
                    curve = result.history.set_index("epoch")[column]
                    by_seed.setdefault(result.seed, []).append(curve)
        if by_seed:
            means = [pd.concat(found, axis=1).mean(axis=1) for found in by_seed.values()]
            seeds = pd.concat(means, axis=1)
            ordered = seeds.reindex(range(1, int(seeds.index.max()) + 1)).to_numpy(dtype=float)
            bands[level] = _band(ordered)
    return bands


def flattening(configurations: Sequence[Configuration]) -> list[Flat]:
    """Where each configuration stopped rising; those without a history are left out."""
    return [_flat(each) for each in configurations if all(len(r.history) for r in each.results)]


def stopped(found: Sequence[Flat]) -> str:
    """Where more epochs stopped helping, in one sentence."""
    early = [each for each in found if each.flat <= 0.9 * each.epochs]
    told = f"{len(early)} of {len(found)} configurations came within 0.01 of their best val Dice"
    mean = f", at epoch {np.mean([each.flat for each in early]):.0f} on average" if early else ""
    rest = len(found) - len(early)
    rising = (
        f"; {rest} {'was' if rest == 1 else 'were'} still rising, so more epochs may help"
        if rest
        else ""
    )
    return f"{told} before the last tenth of their epochs{mean}{rising}."


def flat_from(dice: Sequence[float]) -> int:
    """First epoch (from 1) whose running best is within 0.01 of the highest value of all."""
    best = np.maximum.accumulate(np.asarray(dice, dtype=float))
    return int(np.argmax(best >= best[-1] - NEAR)) + 1


def _flat(each: Configuration) -> Flat:
    flat = [flat_from(result.history["val/dice"].to_list()) for result in each.results]
    train = [result.score("best", "train") for result in each.results]
    known = [value for value in train if value is not None]
    return Flat(
        each.name,
        float(np.mean([result.metrics["epochs"] for result in each.results])),
        float(np.mean([result.metrics["best_epoch"] for result in each.results])),
        float(np.mean(flat)),
        float(np.mean(known)) - each.mean if known and each.mean is not None else None,
        None if each.last.empty else float(each.last.to_numpy().mean()),
    )


def _band(by_epoch: NDArray[np.float64]) -> Band:
    """Mean, lowest, highest over seeds [epochs, S], where an epoch has any."""
    some = ~np.isnan(by_epoch).all(axis=1)
    filled = {name: np.full(len(by_epoch), np.nan) for name in ("mean", "min", "max")}
    filled["mean"][some] = np.nanmean(by_epoch[some], axis=1)
    filled["min"][some] = np.nanmin(by_epoch[some], axis=1)
    filled["max"][some] = np.nanmax(by_epoch[some], axis=1)
    return Band(filled["mean"], filled["min"], filled["max"])
