"""DICOM: sorted by position, on the scanner's grid; what makes no grid is refused in one line."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

import brainseg
from brainseg.predict import nifti
from brainseg.predict.dicom_volume import open_series
from brainseg.predict.sequences import described
from tests.predict.conftest import Predict, head, write_nifti

OBLIQUE = (1.0, 0.0, 0.0, 0.0, 0.982, -0.1889)


def dataset(kind: str, rows: np.ndarray, study: str, series: str, description: str) -> Dataset:
    it = Dataset()
    it.file_meta = FileMetaDataset()
    it.file_meta.MediaStorageSOPClassUID = it.SOPClassUID = kind
    it.file_meta.MediaStorageSOPInstanceUID = it.SOPInstanceUID = generate_uid()
    it.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    it.StudyInstanceUID, it.SeriesInstanceUID = study, series
    it.FrameOfReferenceUID, it.SeriesDescription = study + ".1", description
    it.Modality, it.PatientID, it.PatientName = "MR", "x", "x"
    it.PatientBirthDate = it.PatientSex = it.StudyDate = it.StudyTime = it.AccessionNumber = ""
    it.StudyID = it.ReferringPhysicianName = it.Manufacturer = ""
    it.SeriesNumber, it.InstanceNumber = 1, 1
    it.Rows, it.Columns = rows.shape[-2:]
    it.SamplesPerPixel, it.PhotometricInterpretation = 1, "MONOCHROME2"
    it.BitsAllocated, it.BitsStored, it.HighBit, it.PixelRepresentation = 16, 12, 11, 0
    it.PixelData = rows.astype("<u2").tobytes()
    return it


def write_series(
    folder: Path,
    description: str,
    positions: Sequence[float] = (0, 6, 12, 18, 24),
    *,
    study: str = "1.2.3",
    axes: Sequence[float] = (1, 0, 0, 0, 1, 0),
) -> list[Path]:
    """Slices of `head()` at positions along the normal, in files whose order is not theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    normal, series, paths = np.cross(axes[:3], axes[3:]), generate_uid(), []
    for k, (rows, along) in enumerate(zip(head(len(positions)), positions, strict=True)):
        it = dataset(MRImageStorage, rows, study, series, description)
        it.ImagePositionPatient = [round(float(x), 4) for x in normal * along]
        it.ImageOrientationPatient, it.PixelSpacing, it.SliceThickness = list(axes), [2, 1], 5
        paths.append(folder / f"{description.replace(' ', '')}{(7 * k) % len(positions)}.dcm")
        it.save_as(paths[-1], enforce_file_format=True)
    return paths


def cases(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "report.json").read_text())["cases"]
    return found


@pytest.mark.parametrize("axes", [(1, 0, 0, 0, 1, 0), OBLIQUE, (0, 1, 0, 0, 0, -1)])
def test_a_series_lies_where_its_headers_say(axes: tuple[float, ...], tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", "AX FLAIR", axes=axes)
    image = open_series([tmp_path / "s"])
    for k, path in enumerate(paths):
        it = pydicom.dcmread(path)
        corner = np.array(it.ImagePositionPatient) * (-1, -1, 1)  # LPS to RAS
        row, column = 7, 11
        along = np.array(axes[:3]) * column * 1 + np.array(axes[3:]) * row * 2
        where = image.affine @ (column, row, k, 1)
        np.testing.assert_allclose(where[:3], corner + along * (-1, -1, 1), atol=1e-3)
        assert image.dataobj[column, row, k] == it.pixel_array[row, column]


def test_a_folder_of_series_is_a_case_and_its_mask_lies_on_its_grid(
    predict: Predict, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    for name, description in (("1", "t2_flair_tra"), ("2", "T1 mpr post gad"), ("3", "ADC")):
        write_series(study / name, description, axes=OBLIQUE)
    code, out, err = predict(study, "--statistics")
    assert code == 0, out + err
    (case,) = cases(tmp_path / "masks")
    assert case["name"] == "study"
    assert set(case["sequences"]) == {"flair", "post"}
    assert "series ADC: no sequence that is used" in out
    mask: Any = nib.load(tmp_path / "masks" / "study_mask.nii.gz")
    np.testing.assert_allclose(mask.affine, open_series([study / "1"]).affine, atol=1e-4)
    assert case["ml"] == pytest.approx(case["pixels"] * 0.012)
    assert (tmp_path / "masks" / "statistics.csv").read_text().count("\n") == 2


def test_a_zip_and_a_flag_give_the_mask_of_the_folder(predict: Predict, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "study", "FLAIR")
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        for path in paths:
            archive.write(path, f"a/{path.name}")
    for out, words in (
        ("one", [tmp_path / "study"]),
        ("two", [tmp_path / "packed.zip"]),
        ("three", ["--flair", tmp_path / "study"]),
    ):
        code, said, err = predict(*words, "--out", tmp_path / out)
        assert code == 0, said + err
    one, two, three = (
        np.asarray(nib.load(next((tmp_path / name).glob("*.nii.gz"))).dataobj)
        for name in ("one", "two", "three")
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


def test_dicom_and_nifti_of_the_same_scan_have_the_same_mask(
    run: Path, predict: Predict, tmp_path: Path
) -> None:
    write_series(tmp_path / "study", "FLAIR")
    nib.save(open_series([tmp_path / "study"]), tmp_path / "same.nii.gz")
    assert predict(tmp_path / "study", "--out", tmp_path / "a")[0] == 0
    assert predict(tmp_path / "same.nii.gz", "--out", tmp_path / "b")[0] == 0
    a, b = (next((tmp_path / name).glob("*.nii.gz")) for name in "ab")
    np.testing.assert_array_equal(nib.load(a).dataobj, nib.load(b).dataobj)


def test_an_enhanced_file_of_many_frames_is_a_volume(tmp_path: Path) -> None:
    volume = head(4)
    it = dataset(EnhancedMRImageStorage, volume, "1.2.3", "1.2.3.4", "FLAIR")
    it.NumberOfFrames = len(volume)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [2, 1], 5, 6
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    it.SharedFunctionalGroupsSequence = [shared]
    it.PerFrameFunctionalGroupsSequence = []
    for k in range(len(volume)):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [-3, -4, 6 * k]
        frame.PlanePositionSequence = [position]
        it.PerFrameFunctionalGroupsSequence.append(frame)
    it.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    scan = nifti.read("x", {"flair": [tmp_path / "enhanced.dcm"]})
    image = open_series([tmp_path / "enhanced.dcm"])
    assert scan.sequences["flair"].shape == (4, 40, 36)
    np.testing.assert_allclose(np.abs(np.diag(image.affine)), [1, 2, 6, 1], atol=1e-4)
    np.testing.assert_allclose(image.affine[:3, 3], [3, 4, 0], atol=1e-4)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ((0, 6, 12, 24, 30), "a slice is missing beside"),
        ((0, 6, 12, 18, 26), "its spacing changes beside"),
        ((0, 0, 6, 6, 12, 12), "6 slices at 3 positions: several time points"),
    ],
)
def test_slices_that_make_no_grid_are_refused(
    positions: tuple[float, ...], message: str, predict: Predict, tmp_path: Path
) -> None:
    write_series(tmp_path / "study", "FLAIR", positions)
    assert predict(tmp_path / "study")[0] == 1
    (case,) = cases(tmp_path / "masks")
    assert message in case["failed"]


def test_files_that_are_no_dicom_are_left_out_or_fail_alone(
    predict: Predict, tmp_path: Path
) -> None:
    write_series(tmp_path / "all" / "good", "FLAIR", study="1.2.3")
    (tmp_path / "all" / "good" / "text.dcm").write_text("no DICOM")
    (short,) = write_series(tmp_path / "all" / "short", "FLAIR", [0], study="1.2.4")
    short.write_bytes(short.read_bytes()[:-400])
    (early,) = write_series(tmp_path / "all" / "early", "FLAIR", [0], study="1.2.5")
    early.write_bytes(early.read_bytes()[:500])  # before its pixels
    (tmp_path / "all" / "broken.zip").write_text("no zip")
    code, out, err = predict(tmp_path / "all")
    assert code == 1
    assert "Traceback" not in out + err
    failed = {c["name"]: c["failed"] for c in cases(tmp_path / "masks") if "failed" in c}
    assert set(failed) == {"broken", "early_FLAIR0", "short_FLAIR0"}
    assert "FLAIR0.dcm is damaged" in failed["short_FLAIR0"]
    assert "no zip that can be read" in failed["broken"]
    assert "text.dcm: no DICOM, by its first bytes" in out
    assert "1 segmented, 3 failed" in out


def test_two_series_of_one_sequence_are_said(predict: Predict, tmp_path: Path) -> None:
    for name in ("FLAIR one", "FLAIR two"):
        write_series(tmp_path / "study" / name[-3:], name)
    code, out, _ = predict(tmp_path / "study")
    assert code == 0
    assert "is flair already; choose by --flair" in out


def test_a_mask_as_dicom_seg_refers_to_the_slices_it_was_made_from(
    predict: Predict, tmp_path: Path
) -> None:
    paths = write_series(tmp_path / "study", "FLAIR", axes=OBLIQUE)
    code, out, err = predict(tmp_path / "study", "--dicom-seg")
    assert code == 0, out + err
    segment = pydicom.dcmread(tmp_path / "masks" / "study.dcm")
    mask = np.asarray(nib.load(tmp_path / "masks" / "study_mask.nii.gz").dataobj)
    assert segment.Modality == "SEG"
    assert mask.any()
    for frame, groups in zip(
        segment.pixel_array.reshape(-1, 40, 36),
        segment.PerFrameFunctionalGroupsSequence,
        strict=True,
    ):
        source = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        k = [pydicom.dcmread(path).SOPInstanceUID for path in paths].index(source)
        np.testing.assert_array_equal(frame.T, mask[..., k])
    write_nifti(tmp_path / "scan.nii.gz", head())
    code, out, _ = predict(tmp_path / "scan.nii.gz", "--dicom-seg", "--out", tmp_path / "other")
    assert code == 0
    assert "no DICOM-SEG" in out


@pytest.mark.parametrize(
    ("description", "contrast", "expected"),
    [
        ("AX T2 FLAIR", False, "flair"),
        ("t2_tirm_tra_dark-fluid FLAIR", False, "flair"),
        ("AX T1 FLAIR", False, "pre"),
        ("T1post", False, "post"),
        ("t1_mpr_sag_+C", False, "post"),
        ("AX T1 SE", True, "post"),
        ("AX T1 pre contrast", False, "pre"),
        ("AX T2 TSE", False, "t2"),
        ("ep2d_diff_ADC", False, ""),
    ],
)
def test_a_series_is_told_by_its_description(
    description: str, contrast: bool, expected: str
) -> None:
    assert described(description, contrast=contrast) == expected


def test_a_folder_of_dicom_is_a_case_in_python_too(
    run: Path, predict: Predict, tmp_path: Path
) -> None:
    write_series(tmp_path / "study", "FLAIR")
    assert predict(tmp_path / "study")[0] == 0
    written: Any = nib.load(tmp_path / "masks" / "study_mask.nii.gz")
    np.testing.assert_array_equal(brainseg.load(run)(tmp_path / "study"), written.dataobj)
    write_series(tmp_path / "two" / "one", "FLAIR", study="1.2.3")
    write_series(tmp_path / "two" / "other", "FLAIR", study="1.2.4")
    with pytest.raises(ValueError, match="holds 2 cases; give one"):
        brainseg.load(run)(tmp_path / "two")


def test_a_length_beyond_the_file_is_refused_before_gdcm_takes_memory_for_it(
    tmp_path: Path,
) -> None:
    (path,) = write_series(tmp_path, "FLAIR", [0])
    raw = path.read_bytes()
    at = raw.index(b"\x10\x00\x10\x00PN") + 4  # the patient's name
    path.write_bytes(raw[:at] + b"UT\0\0\xf0\xff\xff\xef" + raw[at + 4 :])  # claims 4 GB
    with pytest.raises(ValueError, match=r"0010,0010 reaches beyond the file; copy it again"):
        open_series([path])
