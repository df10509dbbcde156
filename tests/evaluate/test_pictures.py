import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from brainseg.data.cache import Scans
from brainseg.data.phantom import Phantom
from brainseg.evaluate.calibration import histogram, together
from brainseg.evaluate.charts import charts
from brainseg.evaluate.measure import SHOWN, Rules, measure
from brainseg.evaluate.pictures import chosen, originals, pictures
from brainseg.figures.overlay import FALSE_ALARM, HIT, MISS
from brainseg.inference import Volume


@pytest.fixture
def scans() -> Scans:
    made = Scans(Phantom(patients=3, slices=(9, 9), size=32, seed=3), size=16)
    made.prepare()
    return made


def volume(scans: Scans, number: int, preds: np.ndarray) -> Volume:
    rows = np.arange(9 * number, 9 * number + 9)
    about = scans.index.iloc[rows[0]]
    probs = preds.astype(np.float32)
    return Volume(
        str(about["patient"]),
        "tumour",
        "CS",
        rows,
        list(range(1, 10)),
        scans.original_masks(rows)[:, 0],
        probs,
        probs,
    )


def test_best_median_and_worst_are_by_dice() -> None:
    table = pd.DataFrame({"patient": list("abcdefghijk"), "dice": np.linspace(0, 1, 11)})
    assert chosen(table) == {
        "best": ["k", "j", "i"],
        "median": ["g", "f", "e"],
        "worst": ["c", "b", "a"],
    }
    assert chosen(table[:1]) == {"best": ["a"], "median": ["a"], "worst": ["a"]}


def test_pictures_show_the_pixels_of_the_files(scans: Scans) -> None:
    patient = scans.reader.find(None)[0][1]
    expected = [np.asarray(Image.open(patient.images[k]))[..., 1] for k in (2, 5)]
    np.testing.assert_array_equal(originals(scans, patient, [3, 6]), expected)


def test_hits_misses_and_false_alarms_are_told_apart(scans: Scans) -> None:
    target = scans.original_masks(range(9))[:, 0]
    preds = np.roll(target, 2, axis=2)
    measured = measure([volume(scans, 0, preds)], Rules())["tumour"]
    figure = pictures(scans, measured.patients, measured.strips, "tumour")["patients-best"]
    strip = next(iter(measured.strips.values()))
    lower = figure.subfigs[0].axes[SHOWN:]
    for column, row in enumerate(strip.rows):
        shown = np.asarray(lower[column].images[0].get_array())
        for region, colour in (
            (target[row] & preds[row], HIT),
            (target[row] & ~preds[row], MISS),
            (preds[row] & ~target[row], FALSE_ALARM),
        ):
            grey = (shown[region] - 0.55 * np.array(to_rgb(colour))) / 0.45
            assert np.ptp(grey, axis=1).max(initial=0) < 1e-5  # what lies below is grey
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.split(":")[0] for label in labels] == ["hit", "missed", "false alarm"]


def test_the_slices_with_most_tumour_and_most_errors_are_shown(scans: Scans) -> None:
    target = scans.original_masks(range(9))[:, 0]
    preds = target.copy()
    preds[1] = True
    strip = next(iter(measure([volume(scans, 0, preds)], Rules())["tumour"].strips.values()))
    assert {1, int(target.sum((1, 2)).argmax())} <= set(strip.rows.tolist())
    assert len(strip.rows) <= SHOWN
    np.testing.assert_array_equal(strip.preds, preds[strip.rows])


def test_charts_show_the_numbers_of_the_card(scans: Scans) -> None:
    rng = np.random.default_rng(0)
    volumes = []
    for number in range(3):
        target = scans.original_masks(range(9 * number, 9 * number + 9))[:, 0]
        volumes.append(volume(scans, number, target * rng.random(target.shape)))
    measured = measure(volumes, Rules())["tumour"]
    val = together([histogram(each.probs, each.target) for each in volumes[:1]])
    figures = charts(measured.patients, measured.histogram, val, "test")
    dots = figures["dice-by-size"].axes[0].collections
    points = np.concatenate([np.asarray(each.get_offsets()) for each in dots])
    expected = measured.patients[["target", "dice"]].to_numpy()
    np.testing.assert_allclose(np.sort(points, axis=0), np.sort(expected, axis=0))
    bars = figures["dice-histogram"].axes[0].patches
    assert sum(bar.get_height() for bar in bars) == 3  # type: ignore[attr-defined]
    line = figures["precision-recall"].axes[0].lines[0]
    preds = np.stack([each.probs for each in volumes]) > 0.5
    targets = np.stack([each.target for each in volumes])
    precision, recall = (
        (preds & targets).sum() / preds.sum(),
        (preds & targets).sum() / targets.sum(),
    )
    curve = np.column_stack([np.asarray(line.get_xdata()), np.asarray(line.get_ydata())])
    assert np.nanmin(np.abs(curve - (recall, precision)).sum(1)) < 1e-9
