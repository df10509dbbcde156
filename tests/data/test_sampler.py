from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from brainseg.config import CONF, instantiate
from brainseg.data.sampler import TumourSampler, UniformSampler

TUMOUR = np.arange(100) % 3 == 0  # 34 of 100


def positions(sampler: UniformSampler | TumourSampler, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    drawn = list(sampler)
    assert {drawn_epoch for _, drawn_epoch in drawn} == {epoch}
    assert len(drawn) == len(sampler)
    return [position for position, _ in drawn]


def test_uniform_draws_every_slice_once_an_epoch() -> None:
    sampler = UniformSampler(TUMOUR)
    assert sorted(positions(sampler, 0)) == sorted(positions(sampler, 1)) == list(range(100))


@pytest.mark.parametrize("kind", [UniformSampler, TumourSampler])
def test_order_changes_between_epochs_and_seeds_and_repeats_between_runs(
    kind: type[UniformSampler] | type[TumourSampler],
) -> None:
    first = [positions(kind(TUMOUR, seed=5), epoch) for epoch in range(3)]
    resumed = kind(TUMOUR, seed=5)
    assert positions(resumed, 2) == first[2]
    assert first[0] != first[1] != first[2]
    assert positions(kind(TUMOUR, seed=6), 0) != first[0]


def test_tumour_sampler_keeps_its_share_and_the_number_of_draws() -> None:
    for share, expected in ((0.5, 50), (0.25, 25), (0.0, 0), (1.0, 100)):
        drawn = positions(TumourSampler(TUMOUR, share=share), 3)
        assert len(drawn) == 100
        assert TUMOUR[drawn].sum() == expected


def test_tumour_sampler_repeats_no_slice_before_all_of_its_kind_were_drawn() -> None:
    sampler = TumourSampler(TUMOUR, share=0.5, seed=1)
    seen: Counter[int] = Counter()
    for epoch in range(20):
        seen.update(positions(sampler, epoch))
        for kind in (TUMOUR, ~TUMOUR):
            counts = [seen[position] for position in np.flatnonzero(kind).tolist()]
            assert max(counts) - min(counts) <= 1


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(ValueError, match=r"share=1.5 must be within 0 and 1; set sampler.share"):
        TumourSampler(TUMOUR, share=1.5)
    with pytest.raises(ValueError, match=r"needs training slices with tumour .*sampler=uniform"):
        TumourSampler(np.zeros(4, bool))
    with pytest.raises(ValueError, match="needs training slices without tumour"):
        TumourSampler(np.ones(4, bool))


@pytest.mark.parametrize("option", sorted((CONF / "sampler").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_option_draws_as_many_slices_as_there_are(option: Path) -> None:
    assert len(positions(instantiate(OmegaConf.load(option))(TUMOUR, seed=0), 0)) == 100
