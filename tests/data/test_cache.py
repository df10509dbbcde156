import errno
import hashlib
import inspect
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import OmegaConf
from PIL import Image

from brainseg.data import caches, head, pool, store, writer
from brainseg.data.cache import Scans
from brainseg.data.caches import cache_folder
from brainseg.data.lgg import LGG

CONF = Path(__file__).parents[2] / "conf" / "data" / "lgg.yaml"
FIRST = "TCGA_CS_0001_20000101"

Make = Callable[..., Scans]


@pytest.fixture
def make(lgg_root: Path, tmp_path: Path) -> Make:
    """Scans of the fixture's folder, prepared; arguments as in `Scans`."""

    def scans(**settings: object) -> Scans:
        arguments = {"root": lgg_root, "cache_dir": tmp_path / "cache", "size": 32} | settings
        made = Scans(LGG(), **arguments)
        made.prepare()
        return made

    return scans


def builds(caplog: pytest.LogCaptureFixture) -> int:
    return sum("into the cache" in message for message in caplog.messages)


def originals(root: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    patients = LGG().find(root).patients
    images, masks = zip(*(LGG().read(patient)[:2] for patient in patients), strict=True)
    return np.concatenate(images), np.concatenate(masks)


def test_the_cache_holds_every_slice_in_order(make: Make, lgg_root: Path) -> None:
    scans = make()
    files = {path.name for path in next(scans.cache_dir.glob("lgg-*/")).iterdir()}  # type: ignore[union-attr]
    assert files == {"images.u8", "masks.u8", "originals.u1", "meta.json"}
    images, masks = originals(lgg_root)
    np.testing.assert_array_equal(scans.images, images)
    np.testing.assert_array_equal(scans.masks, masks)
    np.testing.assert_array_equal(scans.original_masks(range(19))[:, 0], masks)
    assert scans.geometry(0).shape == (32, 32)
    assert list(scans.index.columns) == [
        "patient",
        "institution",
        "slice",
        "tumour",
        "blank",
        "missing",
        "part",
    ]
    assert scans.index["slice"].tolist() == [*range(1, 4), *range(1, 13), *range(1, 5)]
    assert scans.index["patient"].nunique() == 3
    assert scans.index["tumour"].tolist() == masks.sum((1, 2)).tolist()
    assert scans.index["institution"].tolist() == ["CS"] * 3 + ["DU"] * 12 + ["HT"] * 4


def test_a_sequence_that_is_a_copy_of_flair_in_every_slice_is_missing(
    make: Make, lgg_root: Path
) -> None:
    first, second, third = sorted(path for path in lgg_root.iterdir() if path.is_dir())
    copy_flair(first.glob("*[0-9].tif"), [0, 2])
    copy_flair(second.glob("*[0-9].tif"), [2])
    copy_flair([third / f"{third.name}_3.tif"], [0])  # the middle slice of four, and no other
    found = make().index.groupby("patient")["missing"].unique().to_dict()
    expected = {first.name: ["pre+post"], second.name: ["post"], third.name: [""]}
    assert {name: list(values) for name, values in found.items()} == expected


def copy_flair(paths: Iterable[Path], channels: list[int]) -> None:
    for path in paths:
        pixels = np.array(Image.open(path))
        pixels[..., channels] = pixels[..., 1:2]
        Image.fromarray(pixels).save(path, format="TIFF")


def test_the_constructor_touches_no_disk(tmp_path: Path) -> None:
    scans = Scans(LGG(), root=tmp_path / "nothing", cache_dir=tmp_path / "cache")
    assert not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match=r"prepare\(\)"):
        _ = scans.images


@pytest.mark.parametrize(
    "arguments",
    [
        {"modalities": ["pre", "t2"]},
        {"modalities": ["pre", "pre"]},
        {"modalities": []},
        {"modalities": "flair"},
        {"size": 0},
        {"size": 64.0},
        {"intensity": "z-score"},
        {"denoise": None},
        {"on_error": "ignore"},
        {"crop": "brain"},
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments: dict[str, object]) -> None:
    (key,) = arguments
    with pytest.raises(ValueError, match=rf"^data\.{key}=.*; must be .*; set .*$") as caught:
        Scans(LGG(), **arguments)
    assert "\n" not in str(caught.value)


def test_a_second_start_reads_no_scan(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.array(make().images)
    monkeypatch.setattr(LGG, "read", None)
    np.testing.assert_array_equal(make().images, images)


@pytest.mark.parametrize(
    ("setting", "again"),
    [
        ({"size": 16}, True),
        ({"denoise": "median"}, True),
        ({"crop": True}, True),
        ({"modalities": ["flair"]}, False),
        ({"intensity": "zscore"}, False),
        ({"on_error": "skip"}, False),
    ],
)
def test_a_setting_of_the_pixels_has_a_cache_of_its_own(
    make: Make, caplog: pytest.LogCaptureFixture, setting: dict[str, object], again: bool
) -> None:
    caplog.set_level(logging.INFO)
    fingerprint = make().fingerprint
    assert make(**setting).fingerprint == fingerprint
    make()
    assert builds(caplog) == 1 + again


def test_changed_files_are_read_again(make: Make, lgg_root: Path) -> None:
    before = make()
    path = lgg_root / FIRST / f"{FIRST}_1.tif"
    Image.fromarray(np.full((32, 32, 3), 9, np.uint8)).save(path)
    after = make()
    assert (after.images[0] == 9).all()
    assert after.fingerprint != before.fingerprint
    shutil.rmtree(lgg_root / FIRST)
    assert len(make().images) == len(before.images) - 3


@pytest.mark.parametrize("name", [*store.PIXELS, "meta.json"])
@pytest.mark.parametrize("damage", ["truncated", "deleted"])
def test_a_damaged_cache_is_built_again(
    make: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path, name: str, damage: str
) -> None:
    caplog.set_level(logging.INFO)
    images = np.array(make().images)
    (path,) = tmp_path.glob(f"cache/*/{name}")
    if damage == "deleted":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_array_equal(make().images, images)
    make()
    assert builds(caplog) == 2


def test_a_pickle_holds_no_pixels_and_opens_them_again(make: Make) -> None:
    scans = make()
    data = pickle.dumps(scans)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).images, scans.images)
    np.testing.assert_array_equal(pickle.loads(data).image(3), scans.image(3))


def test_the_cached_pixels_cannot_be_written(make: Make) -> None:
    with pytest.raises(ValueError, match="read-only"):
        make().images[0] = 0


def test_unit_is_0_to_1_and_modalities_are_chosen_by_name(make: Make) -> None:
    scans = make(modalities=["post", "pre"], intensity="unit")
    image = scans.image(5)
    assert image.shape == (2, 32, 32)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0], scans.images[5][..., 2] / 255, rtol=1e-6)
    np.testing.assert_allclose(image[1], scans.images[5][..., 0] / 255, rtol=1e-6)


def test_zscore_is_by_patient_and_modality_over_the_head(make: Make) -> None:
    scans = make(intensity="zscore", modalities=["flair", "pre"])
    rows = range(3, 15)  # the second patient
    images = np.stack([scans.image(row) for row in rows])
    inside = head.foreground(scans.images[3:15])
    for channel in range(2):
        assert images[:, channel][inside].mean() == pytest.approx(0, abs=1e-4)
        assert images[:, channel][inside].std() == pytest.approx(1, abs=1e-4)


def test_black_slices_and_patients_without_a_head_are_finite_in_zscore(
    make: Make, lgg_root: Path
) -> None:
    first, second, _ = LGG().find(lgg_root).patients
    for path in first.images:
        Image.fromarray(
            np.full((32, 32, 3), 9, np.uint8) - np.eye(32, dtype=np.uint8)[..., None]
        ).save(path)
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(second.images[4])
    scans = make(intensity="zscore")
    assert all(np.isfinite(scans.image(row)).all() for row in range(19))


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("size", [24, 64])
def test_size_and_crop_are_undone_on_the_original_pixels(
    make: Make, write_lgg: Callable[..., Path], size: int, crop: bool
) -> None:
    scans = make(root=write_lgg(folder="wide/kaggle_3m", shape=(40, 60)), size=size, crop=crop)
    rows = np.flatnonzero(scans.index["tumour"] > 0)
    truth = scans.original_masks(rows)
    small = scans.masks[rows][:, None].astype(np.float32)
    preds = np.stack(scans.to_original(small, rows)) >= 0.5
    assert preds.shape == truth.shape == (len(rows), 1, 40, 60)
    assert 2 * (preds & truth).sum() / (preds.sum() + truth.sum()) > (0.75 if size == 24 else 0.98)
    assert scans.to_original(np.empty((0, 1, size, size), np.float32), []) == []


def test_crop_shows_the_head_larger(make: Make, write_lgg: Callable[..., Path]) -> None:
    root = write_lgg(folder="wide/kaggle_3m", shape=(40, 60))
    share = {crop: (make(root=root, crop=crop).images[..., 1] > 60).mean() for crop in (0, 1)}
    assert share[1] > 2 * share[0]


def damage(root: Path) -> list[str]:
    """Faults of five kinds; the start of each line that is to be said about them."""
    folder = root / FIRST
    (folder / f"{FIRST}_1_mask.tif").unlink()
    (folder / f"{FIRST}_2.tif").write_bytes(b"II*\0")
    Image.fromarray(np.full((32, 32), 3, np.uint8)).save(folder / f"{FIRST}_3_mask.tif")
    (root / "TCGA_FG_0009_20000101").mkdir()
    small = root / "TCGA_HT_0003_19991231" / "TCGA_HT_0003_19991231_4"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(f"{small}.tif")
    names = [f"{folder}/{FIRST}_1.tif", f"{folder}/{FIRST}_2.tif", f"{folder}/{FIRST}_3_mask.tif"]
    return [*names, f"{root}/TCGA_FG_0009_20000101", f"{small}_mask.tif"]


def test_all_faults_are_named_in_one_list_and_nothing_is_kept(
    make: Make, lgg_root: Path, tmp_path: Path
) -> None:
    expected = damage(lgg_root)
    with pytest.raises(ValueError, match=r"^5 faults.*data\.on_error=skip") as caught:
        make()
    lines = str(caught.value).split("\n")[1:]
    assert sorted(line.split(": ")[0].strip() for line in lines) == sorted(expected)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_skip_leaves_out_the_faulty_slices_and_says_how_many(
    make: Make, lgg_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(lgg_root)
    scans = make(on_error="skip")
    assert scans.meta.skipped == 5
    assert len(scans.images) == 19 - 4
    assert FIRST not in set(scans.index["patient"])
    assert "left out 5 slices" in caplog.text
    assert make(on_error="skip").meta.skipped == 5
    with pytest.raises(ValueError, match="5 faults"):
        make(on_error="stop")


def test_a_patient_of_another_size_is_a_fault(make: Make, write_lgg: Callable[..., Path]) -> None:
    write_lgg({"TCGA_AA_0000_20000101": 2}, shape=(16, 32))
    with pytest.raises(ValueError, match=r"^2 faults.*\n.*TCGA_AA.*_1.tif: 16x32 pixels"):
        make()
    assert make(on_error="skip").meta.skipped == 2


def test_without_any_good_slice_skip_stops_too(make: Make, lgg_root: Path) -> None:
    for path in lgg_root.glob("*/*_mask.tif"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="19 faults in the scans; no slice is left"):
        make(on_error="skip")


def test_two_lines_say_what_is_read_and_what_is_left_out(
    make: Make, lgg_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (lgg_root / "data.csv").touch()
    make()
    make()  # also from the cache
    assert caplog.messages[-2:] == [
        f"reads 3 patients, 19 slices in {lgg_root}",
        "leaves out: files that are no scans (1): data.csv",
    ]
    (lgg_root / "data.csv").unlink()
    damage(lgg_root)
    make(on_error="skip")
    assert f"reads 2 patients, 15 slices in {lgg_root}" in caplog.messages
    assert "leaves out: 5 faulty slices or folders" in caplog.messages


def test_masks_and_images_that_cannot_be_meant_are_faults(make: Make, lgg_root: Path) -> None:
    first, second, third = LGG().find(lgg_root).patients
    mask = np.asarray(Image.open(second.masks[1]))
    Image.fromarray(255 - mask).save(second.masks[1])
    Image.fromarray(np.full((32, 32), 255, np.uint8)).save(second.masks[2])
    Image.fromarray(np.full((32, 32, 3), 7, np.uint8)).save(second.images[3])  # has tumour
    Image.fromarray(np.full((32, 32, 3), 7, np.uint8)).save(second.images[4])  # has none
    for path in first.images:
        Image.fromarray(np.full((32, 32, 3), len(path.name), np.uint8)).save(path)
    with pytest.raises(ValueError, match="6 faults") as caught:
        make()
    lines = {
        f"{second.masks[1]}: the mask covers 98% of the slice; is it inverted?",
        f"{second.masks[2]}: the mask covers 100% of the slice; is it inverted?",
        f"{second.images[3]}: one grey value, but its mask has tumour",
        f"{first.images[0]}: one grey value, as every slice of the patient",
    }
    assert lines <= {line.strip() for line in str(caught.value).splitlines()}
    scans = make(on_error="skip")
    assert len(scans.images) == 19 - 6
    assert list(pd.unique(scans.index["patient"])) == [second.name, third.name]


def test_an_organ_may_fill_most_of_a_slice(make: Make, lgg_root: Path) -> None:
    (first, *_) = LGG().find(lgg_root).patients
    mask = np.full((32, 32), 255, np.uint8)
    mask[:4] = mask[:, :4] = 0
    Image.fromarray(mask).save(first.masks[1])
    assert make().index["tumour"].max() == 28 * 28


def test_patients_without_tumour_and_blank_slices_are_said(
    make: Make, lgg_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, _ = LGG().find(lgg_root).patients
    for path in first.masks:
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(path)
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(second.images[4])
    make()
    assert f"1 patients have no tumour in any slice: {first.name}" in caplog.messages
    assert "1 slices have one grey value" in caplog.messages


def test_the_cache_of_scans_as_they_were_before_is_replaced(
    make: Make, lgg_root: Path, tmp_path: Path
) -> None:
    before = make()
    make(size=16)
    images = before.images
    Image.fromarray(np.full((32, 32, 3), 9, np.uint8)).save(lgg_root / FIRST / f"{FIRST}_1.tif")
    after = make()
    assert len(list((tmp_path / "cache").glob("*/meta.json"))) == 2  # of two sizes
    assert (images[0] != after.images[0]).any()  # who reads the old one goes on reading


def test_the_same_scans_elsewhere_take_no_more_space(
    make: Make, lgg_root: Path, tmp_path: Path
) -> None:
    first = make()
    copy = shutil.copytree(lgg_root, lgg_root.parent / "elsewhere")
    again = make(root=copy)
    np.testing.assert_array_equal(first.images, again.images)
    inodes = [path.stat().st_ino for path in (tmp_path / "cache").glob("*/images.u8")]
    assert len(inodes) == 2
    assert len(set(inodes)) == 1


def test_caches_are_listed_and_pruned(
    make: Make, lgg_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make()
    old = make(size=16)
    assert old._folder is not None
    week = time.time() - 7 * 86400
    os.utime(old._folder, (week, week))
    where = ["--cache-dir", str(tmp_path / "cache")]
    caches.main(["--list", *where])
    assert "2 caches" in capsys.readouterr().out
    caches.main(["--prune", "3", *where])
    said = capsys.readouterr().out
    assert old._folder.name in said
    assert "1 caches" in said
    assert not old._folder.exists()
    caches.main(["--prune", "0", *where])
    assert not list((tmp_path / "cache").glob("*/meta.json"))


def test_a_slice_under_two_patients_is_reported(
    make: Make, lgg_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, _ = LGG().find(lgg_root)[0]
    shutil.copy(first.images[1], second.images[6])
    shutil.copy(second.images[2], second.images[3])  # one patient's own repeat is no leak
    for patient in (first, second):
        Image.fromarray(np.full((32, 32, 3), (60, 0, 0), np.uint8)).save(patient.images[2])
    make()
    told = "1 slices have the pixels of another patient's slice:\n"
    assert f"{told}  {second.images[6]} = {first.images[1]}" in caplog.messages


def test_the_fingerprint_is_of_the_pixels_not_of_the_files(make: Make, lgg_root: Path) -> None:
    expected = make().fingerprint
    path = lgg_root / FIRST / f"{FIRST}_1.tif"
    Image.open(path).save(path, compression="tiff_lzw")
    copy = shutil.copytree(lgg_root, lgg_root.parent / "elsewhere")
    assert make(root=copy).fingerprint == expected
    assert len(expected) == hashlib.sha256().digest_size * 2


def test_a_full_disk_ends_in_one_line_and_leaves_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    kept = sorted((tmp_path / "cache").iterdir())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer.Writer, "add", full)
    with pytest.raises(ValueError, match=r"^data.cache_dir=.*No space left.*BRAINSEG_CACHE$"):
        make(size=16)
    assert sorted(path for path in (tmp_path / "cache").iterdir() if path.is_dir()) == [
        path for path in kept if path.is_dir()
    ]


def test_a_cache_that_cannot_be_written_is_one_line(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^data.cache_dir=.*cannot be written"):
        make(cache_dir=tmp_path / "file")


def command(root: Path, cache: Path, before: str = "") -> list[str]:
    code = f"""
import logging, os, signal
from brainseg.data import build
from brainseg.data.cache import Scans
from brainseg.data.lgg import LGG
logging.basicConfig(level=logging.INFO)
{before}
Scans(LGG(), root={str(root)!r}, cache_dir={str(cache)!r}, size=32).prepare()
"""
    return [sys.executable, "-c", code]


def test_two_processes_build_one_cache(lgg_root: Path, tmp_path: Path) -> None:
    slow = "import time; own = build._prepare; "
    slow += "build._prepare = lambda *a: (time.sleep(0.5), own(*a))[1]"
    line = command(lgg_root, tmp_path / "cache", slow)
    both = [subprocess.Popen(line, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    logs = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], logs
    assert sum(log.count("into the cache") for log in logs) == 1


def test_a_killed_build_does_no_harm(make: Make, lgg_root: Path, tmp_path: Path) -> None:
    kill = "build._duplicates = lambda records: os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run(command(lgg_root, tmp_path / "cache", kill), check=False)
    assert done.returncode == -signal.SIGKILL
    assert list((tmp_path / "cache").glob(".*.partial"))
    assert len(make().images) == 19
    assert not list((tmp_path / "cache").glob(".*.partial"))


def test_a_killed_build_goes_on_where_it_was(
    write_lgg: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"TCGA_AA_{k:04}_20000101": 1 + k % 3 for k in range(6)}
    root = write_lgg(names, folder="many/kaggle_3m")
    kill = (
        "own = build.Writer.note; build.Writer.note = lambda self, entry: "
        "os.kill(os.getpid(), signal.SIGKILL) if len(self.done) == 3 else own(self, entry)"
    )
    done = subprocess.run(command(root, tmp_path / "cache", kill), check=False)
    assert done.returncode == -signal.SIGKILL
    read: list[str] = []
    own = LGG.read
    monkeypatch.setattr(
        LGG, "read", lambda self, patient: (read.append(patient.name), own(self, patient))[1]
    )
    resumed = Scans(LGG(), root=root, cache_dir=tmp_path / "cache", size=32)
    resumed.prepare()
    assert sorted(read) == sorted(names)[3:]  # three were whole when it was killed
    whole = Scans(LGG(), root=root, cache_dir=tmp_path / "other", size=32)
    whole.prepare()
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.index.equals(whole.index)
    np.testing.assert_array_equal(resumed.images, whole.images)
    np.testing.assert_array_equal(resumed.packed_masks(range(3)), whole.packed_masks(range(3)))
    (folder,) = (tmp_path / "cache").glob("lgg-*-*[0-9a-f]")
    assert not (folder / "journal.jsonl").exists()


def test_patients_are_prepared_in_order_and_few_at_a_time(
    make: Make, write_lgg: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WORKERS", 2)
    names = {f"TCGA_AA_{k:04}_20000101": 1 + k % 3 for k in range(9)}
    scans = make(root=write_lgg(names, folder="many/kaggle_3m"))
    assert list(pd.unique(scans.index["patient"])) == list(names)
    np.testing.assert_array_equal(scans.images, originals(scans.root)[0])


def test_the_cache_folder_is_the_argument_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAINSEG_CACHE", str(tmp_path / "environment"))
    assert cache_folder(tmp_path / "argument") == tmp_path / "argument"
    assert cache_folder() == tmp_path / "environment"
    monkeypatch.delenv("BRAINSEG_CACHE")
    assert cache_folder().name == "brainseg"


def test_the_option_file_names_every_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINSEG_DATA", "/scans")
    config = OmegaConf.load(CONF)
    arguments = set(inspect.signature(Scans).parameters)
    assert set(config) - {"_target_"} == arguments - {"regions"}  # LGG has one
    other = OmegaConf.load(CONF.with_name("brats2020.yaml"))
    assert set(other) - {"_target_"} == arguments
    scans = instantiate(config, _convert_="all")
    assert scans.root == "/scans"
    assert scans.modalities == ("pre", "flair", "post")
    monkeypatch.delenv("BRAINSEG_DATA")
    assert instantiate(OmegaConf.load(CONF), _convert_="all").root is None
