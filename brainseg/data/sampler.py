"""The order of the training slices in each epoch, known from the seed and the epoch alone."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

__all__ = ["TumourSampler", "UniformSampler"]

Positions = NDArray[np.int64]


class UniformSampler(Sampler[tuple[int, int]]):
    """Every training slice once an epoch, in a new order each epoch.

    Yields (position, epoch), where position counts from 0 in the training set.

    Args:
        tumour: Bool `[N]`, whether each training slice shows tumour; only its length matters here.
        seed: Seed of the order.
    """

    def __init__(self, tumour: NDArray[np.bool_], *, seed: int = 0) -> None:
        self.length = len(tumour)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is next, counted from 0; Lightning does."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
        return ((position, epoch) for position in order.tolist())


class TumourSampler(Sampler[tuple[int, int]]):
    """As many draws as there are training slices, with a set share from slices with tumour.

    Slices with and without tumour are two decks that are dealt on from epoch to epoch: no slice
    comes again before all of its deck were dealt. Yields (position, epoch), where position counts
    from 0 in the training set.

    Args:
        tumour: Bool `[N]`, whether each training slice shows tumour.
        seed: Seed of the order.
        share: Share of the draws from slices with tumour, 0 to 1.

    Raises:
        ValueError: If `share` is outside [0, 1] or asks for slices of a kind that there is none of.
    """

    def __init__(self, tumour: NDArray[np.bool_], *, seed: int = 0, share: float = 0.5) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share={share} must be within 0 and 1; set sampler.share, e.g. 0.5")
        self.with_tumour = np.flatnonzero(tumour)
        self.without = np.flatnonzero(~tumour)
        self.draws = round(share * len(tumour))
        for wanted, deck, kind in (
            (self.draws, self.with_tumour, "with"),
            (len(tumour) - self.draws, self.without, "without"),
        ):
            if wanted and not len(deck):
                raise ValueError(
                    f"share={share} needs training slices {kind} tumour and there are none; "
                    "set sampler=uniform"
                )
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is next, counted from 0; Lightning does."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.with_tumour) + len(self.without)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        drawn = [
            _deal(self.with_tumour, self.draws, epoch, (self.seed, 1)),
            _deal(self.without, len(self) - self.draws, epoch, (self.seed, 2)),
        ]
        order = np.random.default_rng((self.seed, epoch)).permutation(np.concatenate(drawn))
        return ((position, epoch) for position in order.tolist())


def _deal(deck: Positions, count: int, epoch: int, seed: tuple[int, ...]) -> Positions:
    """Return the `count` cards dealt in `epoch` from a deck that is shuffled when it runs out."""
    if not count:
        return deck[:0]
    start = epoch * count
    first, last = start // len(deck), (start + count - 1) // len(deck)
    shuffles = [
        np.random.default_rng((*seed, shuffle)).permutation(deck)
        for shuffle in range(first, last + 1)
    ]
    return np.concatenate(shuffles)[start - first * len(deck) :][:count]
