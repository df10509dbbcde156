"""BraTS releases as they are found on disks: odd names, depths, labels and grids."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from brainseg.config import compose, instantiate
from brainseg.data.brats import BraTS
from brainseg.data.cache import Scans
from brainseg.data.reader import SliceError
from brainseg.training.build import build_data
from tests.conftest import plain

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def reader(release: int = 2020) -> BraTS:
    found: BraTS = instantiate(compose([f"data=brats{release}"]).data.reader)
    return found


def save(path: Path, values: np.ndarray, affine: np.ndarray = LPS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def volume(number: int, shape: tuple[int, int, int] = (20, 24, 6)) -> np.ndarray:
    """A head of int16 in the axes of the file, left, back, foot first."""
    rng = np.random.default_rng(number)
    values = np.zeros(shape, np.int16)
    values[3:17, 2:20, 1:] = rng.integers(200, 900, (14, 18, shape[2] - 1))
    return values


def labels(shape: tuple[int, int, int] = (20, 24, 6)) -> np.ndarray:
    values = np.zeros(shape, np.uint8)
    values[6:12, 6:12, 2:5] = 2
    values[7:11, 7:11, 2:5] = 1
    values[8:10, 8:10, 3] = 4
    return values


def patient(root: Path, number: int, ending: str = ".nii.gz", without: str = "") -> Path:
    name = f"BraTS20_Training_{number:03d}"
    for k, modality in enumerate(("flair", "t1", "t1ce", "t2")):
        if modality != without:
            save(root / name / f"{name}_{modality}{ending}", volume(10 * number + k))
    if without != "seg":
        save(root / name / f"{name}_seg{ending}", labels())
    return root / name


def test_patients_lie_at_any_depth_and_are_known_by_their_files(tmp_path: Path) -> None:
    patient(tmp_path / "a" / "b", 1)
    patient(tmp_path, 2, ".nii").rename(tmp_path / "another name")
    found = reader().find(tmp_path)
    assert [each.name for each in found.patients] == [f"BraTS20_Training_00{n}" for n in (1, 2)]
    assert not found.problems
    assert found.left_out == ["2 of the release's 369 patients are here"]
    assert found.patients[0].slices == tuple(range(6))


def test_slices_are_shown_as_they_lie_and_regions_are_bits(tmp_path: Path) -> None:
    patient(tmp_path, 1)
    own = reader()
    (found,) = own.find(tmp_path).patients
    images, masks, *_ = own.read(found)
    assert (images.shape, images.dtype) == ((6, 24, 20, 4), np.uint8)
    whole = labels().transpose(2, 1, 0)  # [foot, back, left]: rows run to the back, columns left
    for bit, known in enumerate(([1, 2, 4], [1, 4], [4])):
        np.testing.assert_array_equal(masks >> bit & 1, np.isin(whole, known))
    t2 = volume(13).transpose(2, 1, 0)
    np.testing.assert_array_equal(images[..., 3] == 0, t2 == 0)
    first = found.without(range(1, 6))
    np.testing.assert_array_equal(own.read(first)[0], images[:1])
    assert own.shape(found) == (24, 20)


def test_any_orientation_of_the_file_gives_the_same_slices(tmp_path: Path) -> None:
    folder = patient(tmp_path / "lps", 1)
    other = tmp_path / "ras" / folder.name
    for path in folder.iterdir():
        image: Any = nib.load(path)
        turned = nib.as_closest_canonical(image)  # type: ignore[no-untyped-call]
        save(other / path.name, np.asarray(turned.dataobj), turned.affine)
    first, second = (reader().read(reader().find(root).patients[0]) for root in (folder, other))
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("region", ["wt", "tc", "et"])
def test_one_cache_serves_every_region(region: str, tmp_path: Path) -> None:
    for number in range(1, 4):
        patient(tmp_path / "scans", number)
    words = [f"data.root={tmp_path / 'scans'}", "data.size=24", f"data.regions=[{region}]"]
    scans: Scans = instantiate(
        compose(["data=brats2020", *words, f"data.cache_dir={tmp_path / 'cache'}"]).data
    )
    scans.prepare()
    pixels = {"wt": 36, "tc": 16, "et": 4}[region]
    assert scans.index["tumour"].max() == pixels
    assert scans.original_masks([3])[0].sum() == pixels
    assert scans.apart(scans.masks[3]).max() == 1
    assert len(list((tmp_path / "cache").glob("brats-*-*[0-9a-f]"))) == 1


@pytest.mark.parametrize(("slices", "kept"), [("all", 6), ("brain", 5), ("tumour", 3)])
def test_slices_without_brain_or_tumour_may_be_left_out_of_training(
    slices: str, kept: int, tmp_path: Path
) -> None:
    for number in range(1, 4):
        patient(tmp_path / "scans", number)
    words = ["data=brats2020", f"data.root={tmp_path / 'scans'}", "data.size=32", "batch_size=2"]
    data = build_data(plain(compose([*words, f"data.slices={slices}", "trainer=cpu"])))
    data.setup()
    assert len(data.split.train) == kept
    assert len(data.split.val) == len(data.split.test) == 6


def test_a_sequence_that_is_not_there_is_a_copy_of_the_first_that_is_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, without in enumerate(("", "t2", "flair"), 1):
        patient(tmp_path / "scans", number, without=without)
    scans: Scans = instantiate(
        compose(["data=brats2020", f"data.root={tmp_path / 'scans'}", "data.size=24"]).data
    )
    with caplog.at_level("INFO"):
        scans.prepare()
    assert scans.index.groupby("patient")["missing"].first().tolist() == ["", "t2", "flair"]
    assert "missing sequences, where another's copy stands in: t2 of 1, flair of 1" in caplog.text
    second, third = scans.images[8], scans.images[14]
    assert np.array_equal(second[..., 3], second[..., 0])  # t2 is FLAIR
    assert np.array_equal(third[..., 0], third[..., 1])  # FLAIR is T1
    assert not np.array_equal(third[..., 0], third[..., 2])


def test_the_misnamed_labels_of_patient_355_are_taken_and_said(tmp_path: Path) -> None:
    folder = patient(tmp_path, 355)
    own = folder / f"{folder.name}_seg.nii.gz"
    own.rename(folder / "W39_1998.09.19_Segm.nii.gz")
    found = reader().find(tmp_path)
    assert [each.name for each in found.patients] == [folder.name]
    assert found.left_out[0] == (
        "W39_1998.09.19_Segm.nii.gz is taken for the labels of BraTS20_Training_355"
    )
    save(folder / "other_seg2_Segm.nii.gz", labels())
    ambiguous = reader().find(tmp_path)
    assert ambiguous.patients == []
    assert any("has no labels" in line for line in ambiguous.problems)


def test_two_segmentations_other_grids_and_gaps_are_named_with_their_paths(tmp_path: Path) -> None:
    patient(tmp_path, 1)
    save(patient(tmp_path, 2) / "BraTS20_Training_002_seg.nii", labels())
    folder = patient(tmp_path, 3)
    save(folder / "BraTS20_Training_003_t1.nii.gz", volume(1), np.diag([1.0, 1, 1, 1]))
    save(tmp_path / "4" / "BraTS20_Training_004_seg.nii.gz", labels())
    patient(tmp_path, 5, without="seg")
    (patient(tmp_path, 6) / "BraTS20_Training_006_t2.nii.gz").write_text("no volume")
    save(patient(tmp_path, 7) / "notes.nii.gz", labels())
    found = reader().find(tmp_path)
    assert [each.name[-1] for each in found.patients] == ["1", "7"]
    lines = "\n".join(found.problems)
    for expected in (
        "BraTS20_Training_002_seg.nii",
        "003_t1.nii.gz lies on another grid than its patient's images",
        "BraTS20_Training_004 has no sequence",
        "BraTS20_Training_005 has no labels",
        "BraTS20_Training_006_t2.nii.gz is no NIfTI file that can be read",
        "notes.nii.gz: is no volume of these",
    ):
        assert expected in lines
    assert len(found.problems) == 6


def test_an_unknown_label_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    folder = patient(tmp_path, 1)
    values = labels()
    values[7, 7, 2] = 3
    save(folder / "BraTS20_Training_001_seg.nii.gz", values)
    own = reader()
    with pytest.raises(SliceError, match=r"_seg.nii.gz has labels 3; must be of 0, 1, 2, 4"):
        own.read(own.find(tmp_path).patients[0])


def test_a_truncated_or_not_finite_volume_is_named(tmp_path: Path) -> None:
    folder = patient(tmp_path, 1)
    nan = volume(1).astype(np.float32)
    nan[4, 4, 4] = np.nan
    save(folder / "BraTS20_Training_001_t1.nii.gz", nan)
    path = folder / "BraTS20_Training_001_t2.nii.gz"
    path.write_bytes(path.read_bytes()[:-2000])
    own = reader()
    with pytest.raises(SliceError) as raised:
        own.read(own.find(tmp_path).patients[0])
    assert "_t1.nii.gz has 1 values that are not finite" in str(raised.value)
    assert "_t2.nii.gz is damaged" in str(raised.value)


def test_the_validation_part_has_no_labels_and_is_said(tmp_path: Path) -> None:
    patient(tmp_path / "Training", 1)
    patient(tmp_path / "ValidationData", 2, without="seg")
    found = reader().find(tmp_path)
    assert len(found.patients) == 1
    assert not found.problems
    assert found.left_out[0] == "patients without labels, in folders that say so (1)"


def test_the_grade_is_what_the_split_is_stratified_by(tmp_path: Path) -> None:
    patient(tmp_path, 1)
    patient(tmp_path, 2)
    rows = "Grade,BraTS_2019_subject_ID,BraTS_2020_subject_ID\n"
    rows += "HGG,BraTS19_X,BraTS20_Training_001\nLGG,NA,BraTS20_Training_002\n"
    (tmp_path / "name_mapping.csv").write_text(rows)
    assert [each.institution for each in reader().find(tmp_path).patients] == ["HGG", "LGG"]


def test_the_releases_differ_in_names_and_labels_alone(tmp_path: Path) -> None:
    name = "BraTS-GLI-00001-000"
    for k, ending in enumerate(("t2f", "t1n", "t1c", "t2w")):
        save(tmp_path / name / f"{name}-{ending}.nii.gz", volume(k))
    values = labels()
    values[values == 4] = 3
    save(tmp_path / name / f"{name}-seg.nii.gz", values)
    own = reader(2023)
    _, masks, *_ = own.read(own.find(tmp_path).patients[0])
    np.testing.assert_array_equal(masks >> 2 & 1, values.transpose(2, 1, 0) == 3)


@pytest.mark.parametrize("regions", ["[wt,wt]", "[whole]", "[]"])
def test_a_region_that_is_not_one_is_refused(regions: str) -> None:
    with pytest.raises(ValueError, match=r"data.regions=.*must be some of wt, tc, et"):
        instantiate(compose(["data=brats2020", f"data.regions={regions}"]).data)


def test_regions_are_bits_of_a_byte() -> None:
    many = {f"r{k}": [k + 1] for k in range(9)}
    with pytest.raises(ValueError, match="must be one to eight regions"):
        BraTS(files={"flair": ["_flair"]}, labels=["_seg"], regions=many)


def test_nothing_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must hold BraTS volumes"):
        reader().find(tmp_path)
    with pytest.raises(FileNotFoundError, match="must be a folder"):
        reader().find(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="must be the release's folder"):
        reader(2023).find(None)


def test_where_slices_lie_is_kept_with_the_data_set_and_for_the_checkpoint(tmp_path: Path) -> None:
    """Files that lie in any way: the voxel of a slice is where its file has it, in mm."""
    turned = np.array([[0, 0, -2.0, 9], [0, 1.5, 0, -4], [1.0, 0, 0, 7], [0, 0, 0, 1]])
    patient(tmp_path / "scans", 1)
    name = "BraTS20_Training_002"
    values = volume(5).transpose(2, 1, 0).copy()  # slices along the first axis, upwards
    for k, modality in enumerate(("flair", "t1", "t1ce", "t2")):
        save(tmp_path / "scans" / name / f"{name}_{modality}.nii.gz", values + k, turned)
    save(
        tmp_path / "scans" / name / f"{name}_seg.nii.gz", labels().transpose(2, 1, 0).copy(), turned
    )
    words = [f"data.root={tmp_path / 'scans'}", f"data.cache_dir={tmp_path / 'cache'}"]
    scans: Scans = instantiate(compose(["data=brats2020", *words, "data.size=24"]).data)
    scans.prepare()
    assert scans.preprocessing.orientation == ("SPL",)  # up, back, left
    assert type(scans.preprocessing).from_state(scans.preprocessing.state()) == scans.preprocessing
    row = int(np.flatnonzero(scans.index["patient"] == name)[2])
    affine = scans.affine(row)
    assert affine is not None
    assert np.linalg.norm(affine[:3, :3], axis=0).tolist() == [1.0, 1.5, 2.0]
    images = scans.reader.read(scans.reader.find(scans.root).patients[1]).images
    d, h, w = 3, 5, 8
    x, y, z, _ = np.linalg.inv(turned) @ affine @ [d, h, w, 1]
    found = values[round(x), round(y), round(z)]
    low, high = scans_range(scans, 1)[0]
    expected = round(min(max(float(found) - low, 0) * 255 / (high - low), 255))
    assert images[d, h, w, 0] == expected


def scans_range(scans: Scans, number: int) -> list[tuple[float, float]]:
    """The values that became 0 and 255, of each sequence of a patient, as the cache keeps them."""
    (meta,) = Path(scans.cache_dir or "").glob("brats-24-*/meta.json")
    ranges = json.loads(meta.read_text())["patients"][number]["ranges"]
    return [(float(low), float(high)) for low, high in ranges]
