"""What published weights do beyond a run's: flips, small parts, and the head in a lone FLAIR."""

from dataclasses import replace

import numpy as np
import pytest

import brainseg
from brainseg.data.head import foreground
from brainseg.data.preprocessing import Preprocessing
from brainseg.predict.scan import Scan, without_small
from tests.predict.conftest import head


def test_parts_smaller_than_a_share_of_the_largest_are_dropped() -> None:
    mask = np.zeros((3, 20, 20), bool)
    mask[0:2, 2:7, 2:7] = True  # 50
    mask[2, 15, 10:15] = True  # 5
    mask[0, 18, 18] = True  # 1
    kept = without_small(mask, 0.1)
    assert kept.sum() == 55
    assert not kept[0, 18, 18]
    np.testing.assert_array_equal(without_small(mask, 0.11), without_small(mask, 1))
    assert without_small(mask, 1).sum() == 50
    assert not without_small(np.zeros_like(mask), 0.1).any()


def test_flips_and_small_parts_are_the_weights_own_unless_the_caller_says(run: object) -> None:
    segmenter = brainseg.load(str(run))
    flipping = replace(segmenter, tta=True, least_part=1.0)
    scan = Scan("x", {"flair": (head() / 4).astype(np.uint8)}, {})
    plain, flipped = segmenter.probabilities(scan), flipping.probabilities(scan)
    assert not np.array_equal(plain, flipped)
    np.testing.assert_array_equal(flipped, segmenter.probabilities(scan, tta=True))
    np.testing.assert_array_equal(plain, flipping.probabilities(scan, tta=False))
    assert flipping.mask(plain, 0.3).sum() < segmenter.mask(plain, 0.3).sum()


def test_a_scan_of_one_sequence_of_several_is_cut_at_a_threshold_of_its_own(run: object) -> None:
    segmenter = replace(brainseg.load(str(run)), threshold=0.9, threshold_alone=0.1)
    image = (head() / 4).astype(np.uint8)
    for names, threshold in (
        (("flair",), 0.1),
        (("flair", "t2"), 0.1),  # which the network does not see
        (("flair", "post"), 0.9),
        (("pre", "flair", "post"), 0.9),
    ):
        assert segmenter.cut(Scan("x", dict.fromkeys(names, image), {})) == threshold
    probs = segmenter.probabilities(Scan("x", {"flair": image}, {}))
    np.testing.assert_array_equal(segmenter(image[:, None]), segmenter.mask(probs, 0.1)[0])
    three = np.stack([image] * 3, 1)  # the same slices, given as three sequences
    np.testing.assert_array_equal(segmenter(three), segmenter.mask(probs, 0.9)[0])
    one = replace(segmenter, preprocessing=replace(segmenter.preprocessing, channels=(1,)))
    assert one.cut(Scan("x", {"flair": image}, {})) == 0.9  # all that such a network sees


def test_the_head_is_found_where_flair_stands_alone() -> None:
    """A lesion so bright that Otsu's threshold falls between it and the brain."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, 64),) * 2, indexing="ij")
    brain = np.hypot(y, x) < 0.8
    flair = np.where(brain, 70, 4)
    flair[20:40, 20:40] = 255
    flair = np.repeat(flair[None].astype(np.uint8), 4, 0)
    alone = np.stack([flair, flair, flair], -1)
    assert foreground(alone).mean() < 0.5 * brain.mean()
    assert foreground(alone, "power").mean() == pytest.approx(brain.mean(), rel=0.05)
    plain = Preprocessing(32, False, "none", "zscore", (0, 1, 2))
    power = replace(plain, head="power")
    assert plain.fit(alone)[1].mean[0] > 1.5 * power.fit(alone)[1].mean[0]
    with pytest.raises(ValueError, match="head=x; must be one of otsu, power"):
        replace(plain, head="x")


def test_nothing_is_cut_of_slices_that_do_not_show_the_head() -> None:
    volume = np.zeros((6, 64, 64, 3), np.uint8)
    for k in range(6):
        volume[k, 30 - 4 * k : 34 + 4 * k, 30 - 4 * k : 34 + 4 * k] = 100
    cutting = Preprocessing(32, True, "none", "zscore", (0, 1, 2), few=5)
    assert cutting.fit(volume)[1].box.side < 60
    assert cutting.fit(volume[:5])[1].box.side < 60
    assert cutting.fit(volume[:4])[1].box == (0, 0, 64)
    assert replace(cutting, few=0).fit(volume[:4])[1].box.side < 45
