"""Folders of one's own, laid out in the ways that people lay them out."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from brainseg.config import compose, instantiate
from brainseg.data.cache import Scans
from brainseg.data.lgg import LGG
from brainseg.data.own import Own
from brainseg.data.pages import header
from brainseg.data.reader import SliceError
from brainseg.training.build import build_data
from tests.conftest import plain

RNG = np.random.default_rng(0)


def own(**kwargs: Any) -> Own:
    usual = {"images": "*_image.*", "masks": "*_mask.*", "modalities": ["image"]}
    return Own(**usual | {"regions": {"tumour": [1]}} | kwargs)


def picture(path: Path, values: np.ndarray, *pages: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = [Image.fromarray(page) for page in pages]
    more = {"save_all": True, "append_images": rest} if rest else {}
    Image.fromarray(values).save(path, **more)
    return path


def grey(dtype: Any = np.uint8, size: tuple[int, int] = (36, 40)) -> np.ndarray:
    return RNG.integers(1, 250, size).astype(dtype)


def mask(value: int = 255, size: tuple[int, int] = (36, 40)) -> np.ndarray:
    found = np.zeros(size, np.uint8)
    found[5:9, 6:12] = value
    return found


def names(found: Any) -> list[tuple[str, int]]:
    assert not found.problems
    return [(patient.name, len(patient.slices)) for patient in found.patients]


def test_numbered_pictures_are_the_slices_of_the_name_before_the_number(tmp_path: Path) -> None:
    for name in ("a", "b-7"):
        for k in (2, 10, 1):
            picture(tmp_path / f"{name}_{k}_image.png", grey())
            picture(tmp_path / f"{name}_{k}_mask.png", mask())
    reader = own()
    found = reader.find(tmp_path)
    assert names(found) == [("a", 3), ("b-7", 3)]
    assert found.patients[0].slices == (1, 2, 10)
    images, masks, *_ = reader.read(found.patients[0])
    assert images.shape == (3, 36, 40, 1)
    assert np.unique(masks).tolist() == [0, 1]
    with Image.open(tmp_path / "a_10_image.png") as last:
        np.testing.assert_array_equal(images[2, ..., 0], np.asarray(last))


def test_a_folder_of_images_and_one_of_masks_pair_by_what_the_star_stands_for(
    tmp_path: Path,
) -> None:
    for k in range(3):
        picture(tmp_path / "images" / f"case{k}.jpg", grey())
        picture(tmp_path / "masks" / f"case{k}.png", mask())
    (tmp_path / "images" / "readme.txt").write_text("x")
    found = own(images="images/*.jpg", masks="masks/*.png").find(tmp_path)
    assert [len(patient.slices) for patient in found.patients] == [3]  # `case`, numbered
    found = own(images="images/*.jpg", masks="masks/*.png", patient="/(case.)").find(tmp_path)
    assert names(found) == [("case0", 1), ("case1", 1), ("case2", 1)]
    assert found.left_out == ["files like neither pattern (1), such as readme.txt"]


def test_a_folder_a_patient_may_repeat_names(tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        for k in range(2):
            picture(tmp_path / name / f"{k}_image.png", grey())
            picture(tmp_path / name / f"{k}_mask.png", mask())
    assert names(own().find(tmp_path)) == [("p1", 2), ("p2", 2)]


def test_the_lgg_scans_are_the_same_read_as_a_folder(lgg_root: Path) -> None:
    reader = own(images="*.tif", masks="*_mask.tif", modalities=["pre", "flair", "post"])
    ours, theirs = reader.find(lgg_root), LGG().find(lgg_root)
    assert [each.name for each in ours.patients] == [each.name for each in theirs.patients]
    for mine, other in zip(ours.patients, theirs.patients, strict=True):
        for one, two in zip(reader.read(mine), LGG().read(other), strict=True):
            np.testing.assert_array_equal(one, two)


def test_the_pages_of_a_tiff_are_slices(tmp_path: Path) -> None:
    stack = [grey(np.uint16) * 9 for _ in range(4)]
    picture(tmp_path / "x_image.tif", *stack)
    picture(tmp_path / "x_mask.tif", *[mask(k % 2) for k in range(4)])
    reader = own()
    (patient,) = reader.find(tmp_path).patients
    images, masks, *_ = reader.read(patient)
    assert images.shape == (4, 36, 40, 1)
    assert masks.any((1, 2)).tolist() == [False, True, False, True]
    for others in ([0, 1], [0, 1, 3]):
        kept = [k for k in range(4) if k not in others]
        np.testing.assert_array_equal(reader.read(patient.without(others))[0], images[kept])
    assert reader.shape(patient) == (36, 40)


def test_a_numbered_stack_is_a_patient_and_two_of_one_are_refused(tmp_path: Path) -> None:
    for k in range(2):
        picture(tmp_path / f"scan_{k}_image.tif", *[grey() for _ in range(3)])
        picture(tmp_path / f"scan_{k}_mask.tif", *[mask()] * 3)
    assert names(own().find(tmp_path)) == [("scan_0", 3), ("scan_1", 3)]
    reader = own(patient="(scan)")
    (patient,) = reader.find(tmp_path).patients
    with pytest.raises(SliceError, match="has several pages, and its patient several files"):
        reader.read(patient)


def test_the_size_is_that_of_most_slices_where_the_first_is_damaged(tmp_path: Path) -> None:
    for k in range(4):
        picture(tmp_path / f"a_{k}_image.png", grey(size=(40, 36)))
        picture(tmp_path / f"a_{k}_mask.png", mask(size=(40, 36)))
    picture(tmp_path / "a_0_mask.png", mask(size=(33, 33)))
    reader = own()
    assert reader.shape(reader.find(tmp_path).patients[0]) == (40, 36)
    (tmp_path / "a_0_mask.png").write_text("no picture")
    scans = Scans(reader, root=tmp_path, size=32, on_error="skip", cache_dir=tmp_path / "cache")
    scans.prepare()
    assert scans.original_masks([0]).shape[2:] == (40, 36)


def test_volumes_have_one_channel_and_files_of_modalities_are_alike(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((40, 36, 3)), np.eye(4)), tmp_path / "a_image.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((40, 36, 3)), np.eye(4)), tmp_path / "a_mask.nii.gz")
    (problem,) = own(modalities=["r", "g", "b"]).find(tmp_path).problems
    assert "a volume is one channel, not r, g, b; give each a file of its own" in problem
    picture(tmp_path / "p" / "a_r.tif", grey(), grey())
    picture(tmp_path / "p" / "a_g.tif", grey())
    picture(tmp_path / "p" / "a_mask.tif", mask(), mask())
    reader = own(images="*_MODALITY.tif", masks="*_mask.tif", modalities={"r": "r", "g": "g"})
    with pytest.raises(SliceError, match=r"a_g.tif is 1x36x40x1 and its mask 2x36x40x1"):
        reader.read(reader.find(tmp_path / "p").patients[0])


def test_pictures_read_in_threads_leave_pythons_warnings_as_they_were(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{k}.tif", grey(), grey()) for k in range(40)]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert {header(path) for path in paths} == set(pool.map(header, paths * 20))
    assert list(warnings.filters) == before


def test_volumes_in_nnunets_layout(tmp_path: Path) -> None:
    for name in ("case_001", "case_002"):
        for k in range(2):
            path = tmp_path / "imagesTr" / f"{name}_000{k}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(
                nib.Nifti1Image(RNG.integers(1, 99, (40, 36, 5)).astype(np.int16), np.eye(4)), path
            )
        path = tmp_path / "labelsTr" / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(np.stack([mask(2).T] * 5, -1), np.eye(4)), path)
    reader = own(
        images="imagesTr/*_MODALITY.nii.gz",
        masks="labelsTr/*.nii.gz",
        modalities={"flair": "0000", "t1ce": "0001"},
        regions={"whole": [1, 2], "core": [1]},
    )
    found = reader.find(tmp_path)
    assert names(found) == [("case_001", 5), ("case_002", 5)]
    images, masks, *_ = reader.read(found.patients[0])
    assert images.shape == (5, 36, 40, 2)
    assert np.unique(masks).tolist() == [0, 1]  # whole, not core


def test_255_stands_for_1_where_that_is_the_only_label(tmp_path: Path) -> None:
    for suffix, value in (("a", 255), ("b", 1)):
        scan = RNG.integers(1, 99, (40, 36, 5)).astype(np.int16)
        nib.save(nib.Nifti1Image(scan, np.eye(4)), tmp_path / f"{suffix}_image.nii.gz")
        labels = np.stack([mask(value).T] * 5, -1)
        nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / f"{suffix}_mask.nii.gz")
    found = own().find(tmp_path)
    assert names(found) == [("a", 5), ("b", 5)]
    masks = [own().read(patient).masks for patient in found.patients]
    np.testing.assert_array_equal(*masks)
    assert np.unique(masks[0]).tolist() == [0, 1]
    picture(tmp_path / "p" / "c_1_image.png", grey())
    picture(tmp_path / "p" / "c_1_mask.png", mask(255))
    two = own(regions={"tumour": [1], "core": [2]})  # of which it would be a guess
    for root in (tmp_path, tmp_path / "p"):
        with pytest.raises(SliceError, match="has labels 255; must be of 0, 1, 2"):
            two.read(two.find(root).patients[0])


def test_each_fault_is_named_with_its_path_and_the_others_are_read(tmp_path: Path) -> None:
    for k in range(1, 7):
        picture(tmp_path / f"a_{k}_image.png", grey())
        picture(tmp_path / f"a_{k}_mask.png", mask())
    picture(tmp_path / "a_2_image.png", grey(size=(40, 40)))
    picture(tmp_path / "a_3_mask.png", mask(7))
    (tmp_path / "a_4_image.png").write_text("no picture")
    picture(tmp_path / "a_5_mask.png", np.stack([mask()] * 3, -1))
    picture(tmp_path / "a_6_image.png", np.stack([grey()] * 4, -1))  # an alpha channel
    picture(tmp_path / "a_8_image.png", grey())
    reader = own()
    found = reader.find(tmp_path)
    assert found.problems == [f"{tmp_path / 'a_8_image.png'}: has no mask"]
    with pytest.raises(SliceError) as raised:
        reader.read(found.patients[0])
    assert list(raised.value.problems) == [1, 2, 3, 4, 5]
    for k, line in enumerate(
        (
            "a_2_image.png is 1x40x40x1 and its mask 1x36x40x1",
            "a_3_mask.png has labels 7",
            "a_4_image.png is no picture",
            "a_5_mask.png has 3 channels",
            "its alpha channel is left",
        ),
        1,
    ):
        assert line in raised.value.problems[k][0]
    assert len(reader.read(found.patients[0].without(raised.value.problems))[0]) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"patient": "("}, "is no pattern"),
        ({"patient": "a+"}, "must have a group"),
        ({"modalities": {"flair": "0000"}}, r"must have MODALITY"),
        ({"modalities": []}, r"data.reader.modalities=\[\]; must be names, each once"),
        ({"modalities": ["a", "a"]}, "must be names, each once"),
        ({"images": "*_MODALITY.png"}, r"must have MODALITY"),
        ({"regions": {}}, "must be one to eight regions"),
        ({"regions": {"a": [1], "b": []}}, "must be one to eight regions"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        own(**words)


def test_an_empty_root_and_one_without_such_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be a folder"):
        own().find(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"holds no file like data.reader.images=\*_image"):
        own().find(tmp_path)


def test_two_files_for_one_thing_and_two_volumes_of_a_patient_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a_1_image.png", grey())
    picture(tmp_path / "a_1_image.tif", grey())
    picture(tmp_path / "a_1_mask.png", mask())
    picture(tmp_path / "b_1_image.png", grey())
    picture(tmp_path / "b_01_image.png", grey())
    picture(tmp_path / "b_1_mask.png", mask())
    picture(tmp_path / "b_01_mask.png", mask())
    lines = "\n".join(own().find(tmp_path).problems)
    assert "a_1_image.tif: is there twice" in lines
    assert "patient b has slices [1] twice; set data.reader.patient" in lines


def test_a_folder_is_understood_by_the_command(tmp_path: Path) -> None:
    for name in "abcd":
        for k in range(3):
            picture(
                tmp_path / "scans" / name / f"{k}_image.png", grey(size=(36, 40 + ord(name) % 3))
            )
            picture(tmp_path / "scans" / name / f"{k}_mask.png", mask(1, (36, 40 + ord(name) % 3)))
    words = ["data=folder", f"data.root={tmp_path / 'scans'}", "data.size=32"]
    scans: Scans = instantiate(compose([*words, f"data.cache_dir={tmp_path / 'cache'}"]).data)
    scans.prepare()
    assert scans.index.groupby("patient").size().tolist() == [3] * 4
    assert (scans.index["tumour"] == 24).all()


def test_other_labels_of_a_region_or_other_patients_never_share_a_cache(tmp_path: Path) -> None:
    for name in "abcd":
        for k in range(3):
            picture(tmp_path / "scans" / f"{name}_{k}_image.png", grey())
            picture(tmp_path / "scans" / f"{name}_{k}_mask.png", mask(1))
    for name in "abcd":
        both = mask(1)
        both[20:22, 20:23] = 2
        picture(tmp_path / "scans" / f"{name}_0_mask.png", both)

    def prepared(*words: str) -> Scans:
        base = ["data=folder", f"data.root={tmp_path / 'scans'}", "data.size=32"]
        base.append("data.regions=[tumour]")
        made: Scans = instantiate(
            compose([*base, f"data.cache_dir={tmp_path / 'cache'}", *words]).data
        )
        made.prepare()
        return made

    first = prepared("data.reader.regions={tumour: [1], core: [2]}")
    other = prepared("data.reader.regions={tumour: [2], core: [1]}")
    assert first.index["tumour"].iloc[0] == 24
    assert other.index["tumour"].iloc[0] == 6
    assert other.fingerprint != first.fingerprint
    again = prepared(
        "data.reader.regions={tumour: [1], core: [2]}", "data.reader.patient='^([ab])'"
    )
    assert set(again.index["patient"]) >= {"a", "b"}
    assert len(list((tmp_path / "cache").glob("own-*-*[0-9a-f]"))) == 3


@pytest.mark.parametrize(
    ("colours", "labels"),
    [
        ([0, 0, 0, 128, 0, 0, 0, 128, 0], {"tumour": [1, 2]}),  # as PASCAL VOC: the numbers count
        ([255, 255, 255, 0, 0, 0, 0, 0, 0], {"tumour": [255]}),  # white may come first
    ],
)
def test_masks_with_a_palette_are_labels(
    tmp_path: Path, colours: list[int], labels: dict[str, list[int]]
) -> None:
    picture(tmp_path / "a_1_image.png", grey())
    numbers = Image.fromarray(mask(1) if colours[0] == 0 else 1 - mask(1))
    numbers.putpalette(colours)
    assert numbers.mode == "P"
    numbers.save(tmp_path / "a_1_mask.png")
    reader = own(regions=labels)
    (patient,) = reader.find(tmp_path).patients
    np.testing.assert_array_equal(reader.read(patient).masks[0], mask(1))


def listed(root: Path, *rows: str) -> Own:
    (root / "list.csv").write_text("\n".join(["image,mask,patient,split", *rows]) + "\n")
    return own(table="list.csv")


def pictures_of(root: Path, *names: str) -> None:
    for name in names:
        picture(root / "i" / f"{name}.png", grey())
        picture(root / "m" / f"{name}.png", mask())


def row(name: str, patient: str = "", part: str = "") -> str:
    return f"i/{name}.png,m/{name}.png,{patient},{part}"


def test_a_table_names_images_masks_patients_and_parts(tmp_path: Path) -> None:
    pictures_of(tmp_path, "x_1", "x_2", "y", "z", "left")
    rows = [row("x_2", "p", "train"), row("x_1", "p", "train"), row("y", "q", "test"), row("z")]
    found = listed(tmp_path, *rows).find(tmp_path)
    assert names(found) == [("p", 2), ("q", 1), ("z", 1)]
    assert [each.part for each in found.patients] == ["train", "test", ""]
    assert found.patients[0].slices == (1, 2)
    assert found.left_out == ["files not in the table (2), such as left.png"]


def test_slices_of_a_table_may_be_counted_from_0_and_lie_anywhere(tmp_path: Path) -> None:
    pictures_of(tmp_path / "elsewhere", "a_0", "a_1", "b_0", "b_1")
    (tmp_path / "top").mkdir()
    rows = [row(name).replace("i/", f"{tmp_path}/elsewhere/i/") for name in ("a_0", "a_1", "b_0")]
    rows = [each.replace("m/", f"{tmp_path}/elsewhere/m/") for each in rows]
    (tmp_path / "top" / "list.csv").write_text("\n".join(["image,mask,patient,split", *rows]))
    for patient in (None, "/([ab])_[0-9]+"):
        found = own(table="list.csv", patient=patient).find(tmp_path / "top")
        assert found.problems == []
        assert [(each.name, each.slices) for each in found.patients] == [("a", (0, 1)), ("b", (0,))]


def test_names_with_dots_are_not_one(tmp_path: Path) -> None:
    pictures_of(tmp_path, "s.a.1", "s.a.2", "s.b.1")
    found = listed(tmp_path, row("s.a.1"), row("s.a.2"), row("s.b.1")).find(tmp_path)
    assert names(found) == [("s.a", 2), ("s.b", 1)]


def test_faults_of_a_table_are_listed_with_their_lines(tmp_path: Path) -> None:
    pictures_of(tmp_path, "a_1", "a_2", "b")
    rows = [row("a_1", "p", "train"), row("a_2", "p", "test"), row("gone", "q", "train")]
    rows += [row("b", "r", "maybe"), row("a_1", "p", "train"), "i/b.png"]
    found = listed(tmp_path, *rows).find(tmp_path)
    text = "\n".join(found.problems)
    assert "line 3: patient p is in train and test" in text
    assert text.count("line 4: ") == 2
    assert "gone.png is not there" in text
    assert "line 5: split maybe must be one of train, val, test" in text
    assert "line 6: i/a_1.png is there twice" in text
    assert found.problems[-1].endswith("line 7: has no mask")
    unnamed = [row("a_1", "", "train"), row("a_2", "", "test")]  # one patient, by their names
    found = listed(tmp_path, *unnamed, row("b")).find(tmp_path)
    assert found.problems == [f"{'list.csv'}: patient a is in test and train"]
    (tmp_path / "list.csv").write_text("image,truth\n")
    with pytest.raises(FileNotFoundError, match="has no column mask but image, truth"):
        own(table="list.csv").find(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"gone\.csv; cannot be read"):
        own(table="gone.csv").find(tmp_path)


def test_a_given_split_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = dict(zip("abcdefghij", ["test"] * 3 + ["train"] * 6 + [""], strict=True))
    pictures_of(tmp_path / "scans", *parts)
    rows = [row(name, name, part) for name, part in parts.items()]
    listed(tmp_path / "scans", *rows)
    words = ["data=folder", f"data.root={tmp_path / 'scans'}", "data.reader.table=list.csv"]
    words += ["data.size=32", f"data.cache_dir={tmp_path / 'cache'}", "batch_size=2"]
    data = build_data(plain(compose([*words, "split=given"])))
    data.setup()
    assert data.members["test"] == list("abc")
    assert sorted(data.members["train"] + data.members["val"]) == list("defghi")
    assert len(data.members["val"]) == 1
    assert "split of its own" not in caplog.text
    other = build_data(plain(compose([*words, "split=patient"])))
    other.setup()
    assert "split=given would keep" in caplog.text
    rows[0] = row("a", "a", "train")  # the same files, moved: not the cache of before
    listed(tmp_path / "scans", *rows)
    moved = build_data(plain(compose([*words, "split=given"])))
    moved.setup()
    assert moved.members["test"] == list("bc")
    alone = plain(compose(["data=phantom", "split=given", "data.reader.patients=4"]))
    with pytest.raises(ValueError, match="split=given; the data set has no patients of train"):
        build_data(alone).setup()
