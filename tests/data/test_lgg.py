import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import kagglehub
import numpy as np
import pytest
from PIL import Image
from requests.exceptions import ConnectionError as NoConnection

from brainseg.data.lgg import LGG, Patient
from brainseg.data.reader import SliceError

WriteLGG = Callable[..., Path]
FIRST = "TCGA_CS_0001_20000101"
SECOND = "TCGA_DU_0002_20010203"


def read_problems(patient: Patient) -> dict[int, list[str]]:
    with pytest.raises(SliceError) as caught:
        LGG().read(patient)
    return caught.value.problems


def test_slices_are_in_the_order_of_their_numbers(lgg_root: Path) -> None:
    patients, problems = LGG().find(lgg_root)[:2]
    assert not problems
    assert [p.institution for p in patients] == ["CS", "DU", "HT"]
    assert patients[1].slices == tuple(range(1, 13))
    assert patients[1].images[9].name == f"{SECOND}_10.tif"
    assert patients[1].masks[9].name == f"{SECOND}_10_mask.tif"


def test_channels_stay_pre_flair_post(lgg_root: Path) -> None:
    images, masks, *_ = LGG().read(LGG().find(lgg_root)[0][0])
    assert images.shape == (3, 32, 32, 3)
    assert images.dtype == masks.dtype == np.uint8
    pre, flair, post = images[0, 16, 19].tolist()  # the fixture's 60, 120, 180 and noise
    assert pre < flair < post


@pytest.mark.parametrize("values", [(0, 255), (0, 1)])
def test_masks_are_read_as_0_and_1(lgg_root: Path, values: tuple[int, int]) -> None:
    path = lgg_root / FIRST / f"{FIRST}_2_mask.tif"
    marked = np.asarray(Image.open(path)) > 0
    Image.fromarray(np.where(marked, values[1], values[0]).astype(np.uint8)).save(path)
    _, masks, *_ = LGG().read(LGG().find(lgg_root)[0][0])
    np.testing.assert_array_equal(masks[1], marked)
    assert masks.max() == 1


@pytest.mark.parametrize("at", [".", "kaggle_3m", "lgg-mri-segmentation", ".."])
def test_the_archive_that_holds_the_tree_twice_is_read_once(lgg_root: Path, at: str) -> None:
    top = lgg_root.parent / "parent" / "archive"
    shutil.copytree(lgg_root, top / "lgg-mri-segmentation" / "kaggle_3m")
    shutil.copytree(lgg_root, top / "kaggle_3m")
    patients, problems = LGG().find(top / at)[:2]
    assert (len(patients), problems) == (3, [])
    assert len({path.parent.parent for p in patients for path in p.images}) == 1


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_root_without_scans_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=f"data.root=.*{name}; .*BRAINSEG_DATA") as caught:
        LGG().find(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_all_that_is_missing_is_named_with_its_path(lgg_root: Path) -> None:
    (lgg_root / FIRST / f"{FIRST}_1_mask.tif").unlink()
    (lgg_root / FIRST / f"{FIRST}_2.tif").unlink()
    (lgg_root / SECOND / f"{FIRST}_9.tif").touch()
    (lgg_root / SECOND / f"{SECOND}_09.tif").touch()
    (lgg_root / "TCGA_FG_0004_20000101").mkdir()
    patients, problems = LGG().find(lgg_root)[:2]
    assert patients[0].slices == (3,)
    assert [p.name for p in patients] == [FIRST, SECOND, "TCGA_HT_0003_19991231"]
    expected = [
        f"{FIRST}/{FIRST}_1.tif: image without a mask",
        f"{FIRST}/{FIRST}_2_mask.tif: mask without an image",
        f"{SECOND}/{FIRST}_9.tif: is not named {SECOND}_",
        f"{SECOND}_9.tif: slice 9 is there twice",
        "TCGA_FG_0004_20000101: empty folder",
    ]
    assert len(problems) == len(expected)
    for line in expected:
        assert any(line in problem for problem in problems), line


def test_a_patient_with_two_folders_is_a_fault(lgg_root: Path) -> None:
    (lgg_root / "TCGA_CS_0001_20050505").mkdir()
    patients, problems = LGG().find(lgg_root)[:2]
    assert len(patients) == 3
    (line,) = problems
    assert line.endswith(f"20050505: TCGA_CS_0001 has another folder, {lgg_root / FIRST}")


def test_patients_in_several_folders_are_all_read_and_the_places_named(
    write_lgg: WriteLGG, tmp_path: Path
) -> None:
    write_lgg({"TCGA_CS_0001_20000101": 2, "TCGA_CS_0002_20000101": 2}, folder="d/train")
    write_lgg({"TCGA_CS_0003_20000101": 2}, folder="d/test/site")
    found = LGG().find(tmp_path / "d")
    assert [patient.name[8:12] for patient in found.patients] == ["0001", "0002", "0003"]
    assert (found.problems, found.left_out) == ([], [])
    assert found.places == "train 2, test/site 1"


@pytest.mark.parametrize("suffix", [".TIF", ".tiff", ".png", ".PNG"])
def test_slices_of_other_suffixes_are_read_with_the_same_pixels(
    lgg_root: Path, suffix: str
) -> None:
    expected = [LGG().read(patient) for patient in LGG().find(lgg_root).patients]
    for path in sorted(lgg_root.glob("*/*_2*.tif")):
        kind = "PNG" if suffix.lower() == ".png" else "TIFF"
        Image.open(path).save(path.with_suffix(suffix), format=kind)
        path.unlink()
    patients, problems = LGG().find(lgg_root)[:2]
    assert not problems
    for patient, arrays in zip(patients, expected, strict=True):
        for found, before in zip(LGG().read(patient), arrays, strict=True):
            np.testing.assert_array_equal(found, before)


def test_what_is_no_scan_is_left_out_with_a_word_and_the_system_is_ignored(lgg_root: Path) -> None:
    (lgg_root / "data.csv").write_text("Patient,age")
    (lgg_root / FIRST / "notes.txt").touch()
    (lgg_root / FIRST / f"._{FIRST}_1.tif").touch()
    (lgg_root / FIRST / "Thumbs.db").touch()
    (lgg_root.parent / "__MACOSX" / FIRST).mkdir(parents=True)
    os.mkfifo(lgg_root / FIRST / f"{FIRST}_9.tif")
    (lgg_root / SECOND / "loop").symlink_to(lgg_root)
    found = LGG().find(lgg_root.parent)
    assert len(found.patients) == 3
    assert not found.problems
    assert found.left_out == [
        "folders that are there again (1; links, or the same names, sizes and middle slice), in "
        f"kaggle_3m/{SECOND}",
        "files that are no scans (2): data.csv, notes.txt",
        "files and folders of the system (3)",
    ]


def test_scans_that_are_not_where_they_belong_are_a_fault(lgg_root: Path) -> None:
    shutil.copytree(lgg_root / FIRST, lgg_root / "patient7")
    shutil.copytree(lgg_root / FIRST, lgg_root / SECOND / "old")
    Image.new("RGB", (32, 32)).save(lgg_root / FIRST / f"{FIRST}_7.jpg")
    deep = lgg_root.joinpath(*"abcdefghi")
    deep.mkdir(parents=True)
    _, problems = LGG().find(lgg_root)[:2]
    named = f"6 pictures or scans, such as {FIRST}_1.tif, in a folder that is not named TCGA_"
    expected = [
        f"{lgg_root}/patient7: {named}",
        f"{lgg_root}/{SECOND}/old: {named}",
        f"{FIRST}_7.jpg: is not read; save it as one of .tif, .tiff, .png",
        "a/b/c/d/e/f/g/h: its folders, 8 below the root, are not looked into",
    ]
    assert len(problems) == len(expected)
    for line in expected:
        assert any(line in problem for problem in problems), line


def test_a_second_tree_with_other_pixels_in_files_of_the_same_size_is_a_fault(
    lgg_root: Path,
) -> None:
    shutil.copytree(lgg_root, lgg_root.parent / "denoised")
    for path in lgg_root.parent.glob(f"denoised/{FIRST}/*[0-9].tif"):
        Image.fromarray(np.asarray(Image.open(path)) // 2).save(path)
    patients, problems, left_out, *_ = LGG().find(lgg_root.parent)
    assert len(patients) == 3
    (line,) = problems
    assert "TCGA_CS_0001 has another folder" in line
    assert [line.partition(";")[0] for line in left_out] == ["folders that are there again (2"]


def test_a_folder_that_may_not_be_entered_is_a_fault(
    lgg_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refused(path: Path) -> Any:
        if Path(path).name == SECOND:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    patients, problems = LGG().find(lgg_root)[:2]
    assert len(patients) == 2
    assert problems == [f"{lgg_root / SECOND}: Permission denied, not looked into"]


def save_16_bit(path: Path) -> None:
    pixels = np.asarray(Image.open(path)).astype(np.uint16)[..., ::-1]
    assert cv2.imwrite(str(path), pixels * 16)


@pytest.mark.parametrize(
    ("suffix", "save", "words"),
    [
        (".tif", save_16_bit, "RGB of 16 bits, must be of 8"),
        (".png", save_16_bit, "RGB of 16 bits, must be of 8"),
        (
            ".tif",
            lambda path: Image.open(path).save(
                path, save_all=True, append_images=[Image.new("RGB", (32, 32))]
            ),
            "2 pages, must be 1",
        ),
        (
            ".tif",
            lambda path: Image.open(path).save(path, tiffinfo={274: 6}),
            r"stored turned \(orientation 6\)",
        ),
        (".png", lambda path: Image.open(path).quantize(8).save(path), "a palette"),
        (".tif", lambda path: Image.open(path).convert("CMYK").save(path), "4 channels of uint8"),
        (".tif", lambda path: Image.open(path).convert("LAB").save(path), r"L\*a\*b\*"),
    ],
    ids=["16 bit TIFF", "16 bit PNG", "pages", "turned", "palette", "CMYK", "Lab"],
)
def test_a_picture_that_would_not_be_read_whole_is_refused(
    lgg_root: Path, suffix: str, save: Callable[[Path], None], words: str
) -> None:
    path = lgg_root / FIRST / f"{FIRST}_1{suffix}"
    if suffix == ".png":
        Image.open(path.with_suffix(".tif")).save(path)
        path.with_suffix(".tif").unlink()
    save(path)
    (lines,) = read_problems(LGG().find(lgg_root).patients[0]).values()
    assert len(lines) == 1
    assert re.search(f"^{path}: .*{words}", lines[0])


def test_every_damaged_file_of_a_patient_is_named(lgg_root: Path) -> None:
    patient = LGG().find(lgg_root)[0][1]

    def write(path: Path, pixels: np.ndarray) -> None:
        Image.fromarray(pixels.astype(np.uint8)).save(path)

    patient.images[0].write_bytes(patient.images[0].read_bytes()[:-5])
    patient.masks[0].write_bytes(b"")
    write(patient.images[1], np.zeros((32, 32)))
    write(patient.images[2], np.zeros((32, 32, 4)))
    write(patient.masks[3], np.zeros((32, 32, 3)))
    write(patient.masks[4], np.zeros((32, 31)))
    write(patient.images[5], np.zeros((16, 32, 3)))
    write(patient.masks[5], np.zeros((16, 32)))
    write(patient.masks[6], np.full((32, 32), 7))
    write(patient.masks[7], np.arange(1024).reshape(32, 32) % 2 * 254 + 1)
    patient.masks[8].unlink()
    expected = {
        0: [
            f"{patient.images[0]}: unreadable or truncated",
            f"{patient.masks[0]}: unreadable or truncated",
        ],
        1: [f"{patient.images[1]}: 1 channels of uint8, must be 3 of uint8"],
        2: [f"{patient.images[2]}: 4 channels of uint8, must be 3 of uint8"],
        3: [f"{patient.masks[3]}: 3 channels of uint8, a mask's must be 1 of uint8"],
        4: [f"{patient.masks[4]}: 32x31 pixels, its image 32x32 pixels"],
        5: [f"{patient.images[5]}: 16x32 pixels, most of the patient 32x32 pixels"],
        6: [f"{patient.masks[6]}: mask values 7, must be 0 and 255 (or 0 and 1)"],
        7: [f"{patient.masks[7]}: mask values 1, 255, must be 0 and 255 (or 0 and 1)"],
        8: [f"{patient.masks[8]}: No such file or directory"],
    }
    assert read_problems(patient) == expected
    images, *_ = LGG().read(patient.without(expected))
    assert len(images) == len(patient.slices) - len(expected)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_file_cut_at_any_byte_is_an_error(lgg_root: Path, compression: str | None) -> None:
    patient = LGG().find(lgg_root)[0][0]
    path = patient.images[0]
    Image.open(path).save(path, compression=compression)
    whole = path.read_bytes()
    for end in [*range(0, 200, 7), *range(200, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:end])
        assert read_problems(patient) == {0: [f"{path}: unreadable or truncated"]}


def test_without_a_root_the_pinned_version_comes_from_kaggle(
    lgg_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def download(handle: str) -> str:
        asked.append(handle)
        return str(lgg_root.parent)

    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setattr(kagglehub, "dataset_download", download)
    patients = LGG().find(None).patients
    assert len(patients) == 3
    assert asked == ["mateuszbuda/lgg-mri-segmentation/versions/2"]


def test_without_network_one_line_names_the_three_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(handle: str) -> str:
        raise NoConnection("Max retries\nexceeded")

    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setattr(kagglehub, "dataset_download", download)
    with pytest.raises(FileNotFoundError) as caught:
        LGG().find("")  # BRAINSEG_DATA= is not the current folder
    message = str(caught.value)
    assert "\n" not in message
    for way in (
        "data.root=PATH or BRAINSEG_DATA",
        "Kaggle",
        "data=phantom",
        "Max retries exceeded",
    ):
        assert way in message


def test_reading_needs_neither_torch_nor_lightning() -> None:
    code = "import sys, brainseg.data.lgg, brainseg.data.cache; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "lightning", "albumentations", "kagglehub"}
    assert not heavy & set(done.stdout.split())
