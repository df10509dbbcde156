from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brainseg.data.cache import Scans
from brainseg.data.lgg import LGG
from brainseg.data.preprocessing import VERSION, Preprocessing


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("intensity", ["unit", "zscore"])
@pytest.mark.parametrize(
    ("denoise", "modalities"), [("none", None), ("median", ("post", "flair"))], ids=["all", "two"]
)
def test_a_volume_that_was_never_cached_becomes_what_the_cache_gives_and_is_undone_alike(
    crop: bool,
    intensity: str,
    denoise: str,
    modalities: tuple[str, ...] | None,
    lgg_root: Path,
    tmp_path: Path,
) -> None:
    scans = Scans(
        LGG(),
        root=lgg_root,
        modalities=modalities,
        size=24,
        intensity=intensity,
        denoise=denoise,
        crop=crop,
        cache_dir=tmp_path,
    )
    scans.prepare()
    for patient in LGG().find(lgg_root)[0]:
        volume, *_ = LGG().read(patient)
        rows = np.flatnonzero(scans.index["patient"] == patient.name)
        image, geometry = scans.preprocessing.apply(volume)
        cached = np.stack([scans.image(int(row)) for row in rows])
        np.testing.assert_array_equal(image.numpy(), cached)
        probs = np.random.default_rng(0).random((len(rows), 24, 24), np.float32)
        undone = scans.preprocessing.undo(probs, geometry)
        back = scans.to_original(probs[:, None], rows)
        np.testing.assert_array_equal(undone, np.concatenate(back))
        assert undone.shape == volume.shape[:3]


def test_state_comes_back_and_another_version_is_refused() -> None:
    one = Preprocessing(128, crop=True, denoise="nlm", intensity="unit", channels=(2, 0))
    assert Preprocessing.from_state(one.state()) == one
    with pytest.raises(ValueError, match=f"version 99 is not the {VERSION} of this brainseg"):
        Preprocessing.from_state(one.state() | {"version": 99})


def test_states_of_before_the_head_had_a_choice_are_read_or_refused() -> None:
    one = Preprocessing(128, crop=True, denoise="none", intensity="zscore", channels=(0,))
    before = {key: value for key, value in one.state().items() if key != "head"}
    assert Preprocessing.from_state(before | {"copies": "otsu"}) == one
    with pytest.raises(ValueError, match="of revision fe7d797 or before; export them again"):
        Preprocessing.from_state(before | {"copies": "root"})


def test_the_cache_of_the_revision_before_is_found_by_its_name() -> None:
    one = Preprocessing(64, crop=False, denoise="none", intensity="zscore", channels=(0,))
    assert one.cached == "Settings(size=64, denoise='none', crop=False)"
    assert replace(one, head="power").cached == one.cached[:-1] + ", head='power')"
