from dataclasses import replace

import numpy as np
import pytest

from brainseg.evaluate.card import Card, card, overall
from brainseg.evaluate.measure import Measured, Rules, measure
from brainseg.evaluate.page import page
from brainseg.inference import Volume

RULES = Rules(tolerance=1.0)
ABOUT = {"title": "A title", "lines": ["how"], "warnings": ["beware"]}


def volume(name: str, preds: np.ndarray, target: np.ndarray, plain: np.ndarray) -> Volume:
    numbers = list(range(1, len(preds) + 1))
    probs, before = preds.astype(np.float32), plain.astype(np.float32)
    return Volume(name, "tumour", "CS", np.arange(len(preds)), numbers, target, probs, before)


def drawn(measured: Measured, found: Card, *figures: str) -> str:
    """The page of one region."""
    dice = overall({"tumour": measured})
    return page({"tumour": found}, dice, ABOUT, {"tumour": figures})


@pytest.fixture
def measured() -> Measured:
    """Two patients of two slices of 4 x 4 pixels, the second slices empty.

    a: 4 pixels of tumour, 2 of them found, and a false alarm of 1 pixel on its empty slice.
    b: 2 pixels of tumour, both found; nothing else.
    """
    target = np.zeros((2, 2, 4, 4), bool)
    target[0, 0, 0] = True
    target[1, 0, 0, :2] = True
    preds = target.copy()
    preds[0, 0, 0, 2:] = False
    preds[0, 1, 3, 3] = True
    plain = target.copy()
    plain[1] = False
    names = ("a", "b")
    each = [volume(n, preds[k], target[k], plain[k]) for k, n in enumerate(names)]
    return measure(each, RULES)["tumour"]


def test_scores_are_the_numbers_by_hand(measured: Measured) -> None:
    found = card(measured, val=None, tta=False)
    dice = {level: names["dice"].value for level, names in found.overlap.items()}
    assert dice == pytest.approx(
        {
            "patient": (4 / 7 + 1) / 2,
            "tumour_slice": (4 / 6 + 1) / 2,
            "slice_empty_1": (4 / 6 + 0 + 1 + 1) / 4,
            "slice_empty_0": (4 / 6 + 0 + 1 + 0) / 4,
            "slice_left_out": (4 / 6 + 0 + 1) / 3,
            "global": 8 / 11,
        }
    )
    assert found.median["dice"].value == pytest.approx((4 / 7 + 1) / 2)
    assert found.volume["error"].value == pytest.approx((-1 / 4 + 0) / 2)
    assert found.volume["absolute_error"].value == pytest.approx((1 / 4 + 0) / 2)
    assert found.false_alarms["rate"].value == 1 / 2
    assert found.lesions["sensitivity"].value == 1
    assert found.lesions["precision"].value == 2 / 3
    assert found.lesions["false_per_patient"].value == 1 / 2
    # a: found borders lie within 1 pixel but for one of the four of the truth
    assert found.surface["surface_dice"].value == pytest.approx(((2 + 3) / 6 + 1) / 2)
    assert found.surface["hd95_px"].value == pytest.approx(np.percentile([0, 0, 1, 2], 95) / 2)
    assert found.surface["hd95_px"].nothing == pytest.approx(np.hypot(4, 4))


def test_predicting_nothing_is_scored_by_the_same_rules(measured: Measured) -> None:
    overlap = card(measured, val=None, tta=False).overlap
    dice = {level: names["dice"].nothing for level, names in overlap.items()}
    assert dice == {
        "patient": 0,
        "tumour_slice": 0,
        "slice_empty_1": 0.5,
        "slice_empty_0": 0,
        "slice_left_out": 0,
        "global": 0,
    }
    assert overlap["global"]["accuracy"].nothing == pytest.approx(1 - 6 / 64)


def test_a_patient_without_tumour_has_no_borders_in_3d_either() -> None:
    target = np.zeros((2, 2, 4, 4), bool)
    target[0, 0, 0] = True
    preds = target.copy()
    preds[1, 0, 3, 3] = True  # a false alarm, which has scores of its own
    rules = Rules(tolerance=1.0, spacing=(5.0, 1.0, 1.0))
    each = [volume(n, preds[k], target[k], preds[k]) for k, n in enumerate("ab")]
    found = card(measure(each, rules)["tumour"], val=None, tta=False).surface
    assert {name: (score.value, score.patients) for name, score in found.items()} == {
        "hd95_px": (0.0, 1),
        "surface_dice": (1.0, 1),
        "hd95_mm": (0.0, 1),
        "surface_dice_3d": (1.0, 1),
    }
    alone = card(measure(each[1:], rules)["tumour"], val=None, tta=False).surface
    assert {score.patients for score in alone.values()} == {0}


def test_the_gain_of_flips_is_paired_by_patient(measured: Measured) -> None:
    found = card(measured, val=None, tta=True).tta
    assert found is not None
    assert found["dice"].value == pytest.approx(((4 / 7 - 1) + (1 - 0)) / 2)


def test_without_val_there_is_no_threshold(measured: Measured) -> None:
    found = card(measured, val=None, tta=False)
    assert found.threshold is None
    assert found.tta is None
    text = drawn(measured, found)
    assert "No threshold could be chosen" in text
    assert "Test-time augmentation" not in text


def test_the_page_shows_scores_intervals_and_warnings(measured: Measured) -> None:
    found = card(measured, val=measured.histogram, tta=True)
    text = drawn(measured, found, "reliability")
    dice = found.overlap["patient"]["dice"]
    assert dice.low is not None
    assert dice.high is not None
    shown = f"{dice.value:.3f} ({dice.low:.3f} to {dice.high:.3f})"
    assert f"**Dice by patient {shown}**" in text
    assert "(2 patients)." in text
    assert "> **beware**" in text
    assert "![reliability](figures/reliability.png)" in text
    assert "The threshold that is best on val is 0.500" in text


def test_a_missing_interval_has_its_reason_on_the_page(measured: Measured) -> None:
    text = drawn(measured, card(measured, val=None, tta=False))
    assert "the same in every resample: no interval" in text  # of the lesions found


def test_the_card_of_one_patient_says_why_it_has_no_intervals() -> None:
    target = np.zeros((2, 4, 4), bool)
    target[0, 0] = True
    one = measure([volume("a", target, target, target)], RULES)["tumour"]
    text = drawn(one, card(one, val=None, tta=False))
    assert "**Dice by patient 1.000**, median 1.000 (1 patient; one patient: no interval)." in text
    assert "| 1 | one patient: no interval |" in text


def test_predicting_nothing_is_right_where_most_patients_have_no_tumour() -> None:
    target = np.zeros((3, 2, 4, 4), bool)
    target[0, 0, 0] = True
    each = [volume(n, target[k], target[k], target[k]) for k, n in enumerate("abc")]
    found = card(measure(each, RULES)["tumour"], val=None, tta=False)
    assert found.median["dice"].nothing == 1
    assert found.overlap["patient"]["dice"].nothing == pytest.approx(2 / 3)


def test_a_region_that_a_patient_lacks_is_scored_over_those_who_have_it_too() -> None:
    whole, part = np.zeros((2, 3, 2, 4, 4), bool)
    whole[:, 0, 0] = True
    part[0, 0, 0] = True  # of the first patient alone
    wrong = part.copy()
    wrong[2, 0, 0] = True  # found where there is none
    regions = {"wt": (whole, whole), "et": (wrong, part)}
    each = [
        replace(volume(name, preds[k], target[k], preds[k]), region=region)
        for k, name in enumerate("abc")
        for region, (preds, target) in regions.items()
    ]
    measured = measure(each, RULES)
    cards = {name: card(one, val=None, tta=False) for name, one in measured.items()}
    assert "patient_having" not in cards["wt"].overlap
    et = {level: names["dice"] for level, names in cards["et"].overlap.items()}
    assert (et["patient"].value, et["patient"].patients) == (pytest.approx(2 / 3), 3)
    assert (et["patient_having"].value, et["patient_having"].patients) == (1, 1)
    found = overall(measured)
    assert found.value == pytest.approx((1 + 2 / 3) / 2)
    assert found.nothing == pytest.approx((0 + 2 / 3) / 2)
    text = page(cards, found, ABOUT, {"wt": ["a-wt"], "et": ["a-et"]})
    assert "**, mean over wt, et (3 patients" in text
    assert text.index("# wt") < text.index("figures/a-wt.png") < text.index("# et")
