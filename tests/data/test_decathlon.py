"""The Decathlon's tasks: by their own lists, whatever lies beside the files that these name."""

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import brainseg
from brainseg.config import compose, instantiate
from brainseg.data.cache import Scans
from brainseg.data.decathlon import TASKS, Decathlon
from brainseg.data.preprocess import Box, Geometry
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.window import Windows, measure
from brainseg.evaluate.evaluation import evaluate
from brainseg.evaluate.request import Request
from brainseg.predict.__main__ import main as predict
from brainseg.predict.scan import Scan
from brainseg.training.build import build_data
from brainseg.training.fit import fit
from tests.conftest import plain, tiny_cell


def task(root: Path, name: str = "Task04_Hippocampus", patients: int = 4) -> Path:
    """A task whose patients have other shapes each."""
    folder, rng = root / name, np.random.default_rng(0)
    channels = len(TASKS[name].modalities)
    labels = sorted({0, *(label for each in TASKS[name].regions.values() for label in each)})
    training = []
    for number in range(patients):
        shape = (34 + number, 40 + number % 3, 5)
        images = rng.integers(1, 900, (*shape, channels)).astype(np.float32)
        mask = np.zeros(shape, np.uint8)
        for k, label in enumerate(labels[1:]):
            mask[10 + 4 * k : 14 + 4 * k, 12:20, 1:4] = label
        images[mask > 0] += 900
        names = {}
        for kind, values in (("image", images.squeeze()), ("label", mask)):
            names[kind] = f"./{kind}sTr/case_{number:03d}.nii.gz"
            path = folder / names[kind]
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values, np.eye(4)), path)
        training.append(names)
    said = {
        "modality": {str(k): each for k, each in enumerate(TASKS[name].modalities)},
        "labels": {str(label): f"label {label}" for label in labels},
        "training": training,
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize("inside", [True, False])
def test_what_the_list_names_is_read_and_nothing_else(inside: bool, tmp_path: Path) -> None:
    folder = task(tmp_path)
    (folder / "imagesTr" / "._case_000.nii.gz").write_bytes(b"x")
    (folder / "imagesTs").mkdir()
    (folder / "imagesTs" / "case_009.nii.gz").write_bytes(b"x")
    own = Decathlon(task="Task04_Hippocampus")
    found = own.find(folder if inside else tmp_path)
    assert [each.name for each in found.patients] == [f"case_00{k}" for k in range(4)]
    assert not found.problems
    assert found.left_out == [
        "files that dataset.json does not list for training (1)",
        "files and folders of the system (1)",
    ]
    images, masks, *_ = own.read(found.patients[1])
    assert images.shape == (5, 41, 35, 1)
    assert own.shape(found.patients[1]) == (41, 35)
    assert np.unique(masks).tolist() == [0, 0b011, 0b101]  # whole and anterior, whole and posterior


@pytest.mark.parametrize("name", ["Task01_BrainTumour", "Task05_Prostate"])
def test_sequences_lie_along_the_last_axis(name: str, tmp_path: Path) -> None:
    folder = task(tmp_path, name)
    own = Decathlon(task=name)
    images, *_ = own.read(own.find(folder).patients[0])
    assert images.shape[-1] == len(own.modalities)
    assert not np.array_equal(images[..., 0], images[..., 1])


def test_what_is_listed_and_not_there_is_named(tmp_path: Path) -> None:
    folder = task(tmp_path)
    (folder / "labelsTr" / "case_002.nii.gz").unlink()
    found = Decathlon(task="Task04_Hippocampus").find(folder)
    assert len(found.patients) == 3
    assert "labelsTr/case_002.nii.gz: is listed in dataset.json" in found.problems[0]


def test_a_patient_that_is_listed_twice_is_named(tmp_path: Path) -> None:
    folder = task(tmp_path)
    said = json.loads((folder / "dataset.json").read_text())
    said["training"].append(said["training"][0])
    (folder / "dataset.json").write_text(json.dumps(said))
    found = Decathlon(task="Task04_Hippocampus").find(folder)
    assert len(found.patients) == 4
    assert found.problems[0].endswith("is listed twice in dataset.json")


def test_another_tasks_list_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    folder = task(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has labels \[0, 1, 2\] and 1 sequences, Task09"):
        Decathlon(task="Task09_Spleen").find(folder)
    (folder / "dataset.json").write_text("{")
    with pytest.raises(FileNotFoundError, match="is no list of a task"):
        Decathlon(task="Task04_Hippocampus").find(folder)
    with pytest.raises(FileNotFoundError, match="must be or hold Task04_Hippocampus"):
        Decathlon(task="Task04_Hippocampus").find(tmp_path / "none")
    with pytest.raises(ValueError, match="must be one of Task01_BrainTumour"):
        Decathlon(task="Task11")


def test_patients_of_different_sizes_train_and_are_scored_on_their_own_pixels(
    tmp_path: Path,
) -> None:
    task(tmp_path, patients=8)
    words = [f"data.root={tmp_path}", "data.regions=[posterior]", "data.size=32"]
    data = plain(compose(["data=decathlon", *words, f"data.cache_dir={tmp_path / 'cache'}"]))[
        "data"
    ]
    cell = tiny_cell(tmp_path / "run", "epochs=1")
    cell.config["data"] = data
    fit(cell, title="run")
    scans: Scans = instantiate(data)
    scans.prepare()
    table = pd.read_csv(cell.folder / "patients.csv")
    sizes = set()
    for name, rows in scans.index.groupby("patient").indices.items():
        height, width = scans.geometry(int(rows[0])).shape
        assert scans.original_masks(rows).sum() == scans.index["tumour"].iloc[rows].sum() > 0
        own = table[table["patient"] == name]
        assert set(own["pixels"]) == {5 * height * width}
        assert set(own["slices"]) == {5}
        sizes.add((height, width))
    assert len(sizes) == 8
    saved = np.load(cell.folder / "predictions.npz")
    assert len(saved["masks"]) == len(saved["slice"])
    assert saved["shape"].ndim == 1 or len(saved["shape"]) == len(saved["masks"])


@pytest.mark.slow
def test_the_command_trains_a_task_as_its_option_file_has_it(tmp_path: Path) -> None:
    task(tmp_path / "scans", patients=6)
    words = ["data=decathlon", f"data.root={tmp_path / 'scans'}", "data.size=32", "name=run"]
    small = ["epochs=1", "batch_size=4", "model.net.width=8", "model.net.depth=2", "trainer=cpu"]
    command = [sys.executable, "-m", "brainseg.train", *words, *small]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "outputs" / "run" / "metrics.json").is_file()


def ct(root: Path, patients: int = 6) -> Path:
    """Spleens of some 100 to 160 HU in a body of 0 to 40, air of -1000, and one metal voxel."""
    folder = task(root, "Task09_Spleen", patients)
    rng = np.random.default_rng(1)
    for number, path in enumerate(sorted((folder / "imagesTr").iterdir())):
        image = nib.load(path)
        label = np.asarray(nib.load(folder / "labelsTr" / path.name).dataobj)
        values = np.full(image.shape, -1000.0)
        values[4:-4, 4:-4] = rng.uniform(0, 40, values[4:-4, 4:-4].shape)
        values[label > 0] = rng.uniform(100, 160, int((label > 0).sum())) + 5 * number
        values[20, 20, 2] = 3000
        nib.save(nib.Nifti1Image(values.astype(np.int16), image.affine), path)
    return folder


def labelled(folder: Path, names: Collection[str]) -> "np.ndarray[Any, Any]":
    """The HU of some patients' labelled voxels."""
    each = []
    for name in names:
        image, label = (
            nib.load(folder / kind / f"{name}.nii.gz") for kind in ("imagesTr", "labelsTr")
        )
        each.append(np.asarray(image.dataobj)[np.asarray(label.dataobj) > 0])
    return np.concatenate(each)


def of_ct(tmp_path: Path, *more: str) -> dict[str, Any]:
    words = ["data=decathlon", "data.reader.task=Task09_Spleen", f"data.root={tmp_path}"]
    words += ["data.size=32", f"data.cache_dir={tmp_path / 'cache'}", "data.intensity=ct", *more]
    return plain(compose(words))


def test_the_window_of_ct_is_that_of_the_labelled_voxels_that_train(tmp_path: Path) -> None:
    folder = ct(tmp_path, patients=12)
    for fold in (0, 1):
        config = of_ct(tmp_path, f"split.fold={fold}", "batch_size=2")
        data = build_data(config)
        data.setup()
        hu = labelled(folder, data.members["train"])
        low, high = np.percentile(hu, (0.5, 99.5))
        windows = data.scans.preprocessing.windows
        assert windows is not None
        assert [float(word) for word in str(windows).split(" to ")] == pytest.approx(
            [low, high], abs=0.6
        )
        scaled = (hu.clip(low, high) - low) * 255 / (high - low)
        assert windows.mean[0] == pytest.approx(scaled.mean(), rel=0.02)
        assert windows.deviation[0] == pytest.approx(scaled.std(), rel=0.02)
        row = int(data.scans.index["tumour"].argmax())
        image, mask = data.scans.image(row), data.scans.masks[row] > 0
        least, most = ((x - windows.mean[0]) / windows.deviation[0] for x in (0, 255))
        assert image.min() == pytest.approx(least)  # air
        assert image.max() <= most + 1e-6
        assert abs(image[0][mask].mean()) < 2
        batch = data.on_after_batch_transfer(next(iter(data.loader("test"))), 0)
        expected = data.scans.image(int(batch["row"][0]))
        np.testing.assert_allclose(batch["image"][0], expected, atol=1e-6)


def test_the_cache_of_ct_serves_every_split_and_no_other_intensity(tmp_path: Path) -> None:
    ct(tmp_path)
    scans: Scans = instantiate(of_ct(tmp_path)["data"])
    scans.prepare()
    again: Scans = instantiate(of_ct(tmp_path, "split.fold=1")["data"])
    again.prepare()
    assert again.preprocessing == scans.preprocessing
    assert len(list((tmp_path / "cache").glob("decathlon-*/meta.json"))) == 1
    plainly: Scans = instantiate(of_ct(tmp_path, "data.intensity=zscore")["data"])
    plainly.prepare()
    assert plainly.fingerprint != scans.fingerprint  # other bytes, and a cache of their own
    with pytest.raises(ValueError, match="wants volumes of CT, which Phantom has none of"):
        instantiate(compose(["data=phantom", "data.intensity=ct"]).data).prepare()


def test_weights_with_the_window_of_earlier_revisions_see_what_they_saw() -> None:
    known = Windows.from_plain({"bounds": [[0, 100]], "mean": [100.0], "deviation": [10.0]})
    assert str(known) == "0 to 100"
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    geometry = Geometry((16, 16), Box(0, 0, 16), np.zeros(1), np.ones(1))
    found = Preprocessing(16, False, "none", "ct", (0,), windows=known).scale(pixels, geometry)
    np.testing.assert_allclose(found[0], (pixels[..., 0] - 100.0) / 10, rtol=1e-6)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("inner", [[0, 300]]),
        ("inner", [[9, 9]]),
        ("inner", [[0, 9], [0, 9]]),
        ("mean", [float("nan")]),
        ("deviation", [0.0]),
        ("deviation", []),
        ("bounds", [[5, 5]]),
        ("windows", None),
        ("channels", [1]),
    ],
)
def test_windows_that_are_none_are_refused_when_they_are_read(key: str, value: object) -> None:
    windows = Windows(((0, 100),), (120.0,), (30.0,), ((10, 200),))
    state = Preprocessing(32, False, "none", "ct", (0,), windows=windows).state()
    assert Preprocessing.from_state(state).windows == windows
    with pytest.raises(ValueError, match="windows of"):
        Preprocessing.from_state(
            state | {key: value}
            if key in state
            else state | {"windows": state["windows"] | {key: value}}
        )


def test_what_is_not_finite_is_no_part_of_a_window(tmp_path: Path) -> None:
    folder = ct(tmp_path)
    path = sorted((folder / "imagesTr").iterdir())[0]
    image: Any = nib.load(path)
    values = np.asarray(image.dataobj).astype(np.float32)
    values[np.asarray(nib.load(folder / "labelsTr" / path.name).dataobj) > 0] = np.nan
    nib.save(nib.Nifti1Image(values, image.affine), path)
    reader = Decathlon(task="Task09_Spleen")
    patients = reader.find(tmp_path).patients
    assert np.isfinite(measure(reader, patients).bounds).all()
    with pytest.raises(ValueError, match=r"data.intensity=ct; no voxel is labelled"):
        measure(reader, [])
    with pytest.raises(ValueError, match=r"data.intensity=ct; none of 1 patients has a label"):
        measure(reader, patients).windows(["case_000"])


def test_a_new_ct_is_read_by_the_window_of_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ct(tmp_path / "scans", patients=8)
    cell = tiny_cell(tmp_path / "run", "epochs=8", "optimizer.lr=5e-3", "augment=geometric")
    cell.config["data"] = of_ct(tmp_path / "scans")["data"]
    fit(cell, title="run")
    segmenter = brainseg.load(tmp_path / "run")
    data = build_data(cell.config)
    data.setup()
    assert segmenter.preprocessing == data.scans.preprocessing
    evaluate(Request((tmp_path / "run",), out=tmp_path / "card"))
    own = pd.read_csv(tmp_path / "run/patients.csv").query("checkpoint=='best' and split=='test'")
    card = pd.read_csv(tmp_path / "card/patients.csv")
    np.testing.assert_array_equal(card["dice"], own["dice"])
    again = tiny_cell(tmp_path / "again", "epochs=1", "split.fold=1")
    again.config["data"] = cell.config["data"]
    fit(again, title="again")
    both = [brainseg.load(tmp_path / name) for name in ("run", "again")]
    windows = {each.preprocessing.windows for each in both}
    assert len(windows) == 2  # of other patients
    reader = data.scans.reader
    scan = reader.find(data.scans.root).patients[0]
    volume = Scan("a", {"ct": reader.read(scan).images[..., 0]}, {}, main="ct")
    mean = np.mean([each.probabilities(volume) for each in both], axis=0)
    together = brainseg.load([tmp_path / "run", tmp_path / "again"])
    np.testing.assert_allclose(together.probabilities(volume), mean, atol=1e-6)
    others = ct(tmp_path / "others", patients=3)
    with pytest.raises(ValueError, match=r"cannot be scored on other CT.*brainseg\.predict"):
        evaluate(Request((tmp_path / "run",), "all", root=others, out=tmp_path / "other"))
    path = folder / "imagesTr" / "case_000.nii.gz"
    out = tmp_path / "masks"
    assert predict([str(path), "--weights", str(tmp_path / "run"), "--out", str(out)]) == 0
    low, high = segmenter.preprocessing.windows.bounds[0]  # type: ignore[union-attr]
    said = capsys.readouterr().out
    assert f"case_000.nii.gz: {low:g} to {high:g} became 0 to 255" in said
    assert f"of CT the network sees {segmenter.preprocessing.windows}" in said
    found = np.asarray(nib.load(out / "case_000_mask.nii.gz").dataobj) > 0
    target = np.asarray(nib.load(folder / "labelsTr" / "case_000.nii.gz").dataobj) > 0
    assert 2 * (found & target).sum() / (found.sum() + target.sum()) > 0.5
    values = np.asarray(nib.load(path).dataobj)
    np.testing.assert_array_equal(segmenter(path), found)
    turned = values.transpose(2, 1, 0)[:, ::-1, ::-1]  # as slices are shown
    own = segmenter(turned[:, None].copy())
    np.testing.assert_array_equal(own[:, ::-1, ::-1].transpose(2, 1, 0), found)
