"""A mask as DICOM-SEG that refers to the slices it was made from; highdicom writes it."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainseg.predict.marks import is_dicom
from brainseg.predict.scan import FLAIR, Scan

NEEDED = "--dicom-seg needs highdicom; pip install 'brainseg[dicom-seg]'"


def write_dicom_seg(scan: Scan, mask: NDArray[np.bool_], path: Path) -> Path | None:
    """Write one segment of a DICOM series; None, and a note in the scan, where it is none.

    Args:
        scan: the case.
        mask: [D, H, W], with at least one slice.
        path: ending in .dcm.

    Raises:
        ValueError: highdicom is not installed, or refuses the series.
    """
    files = scan.files[FLAIR]
    if not all(each.is_file() and is_dicom(each) for each in files):
        scan.notes.append("no DICOM-SEG: FLAIR is no DICOM file on the disk")
        return None
    import highdicom as hd
    import pydicom
    from pydicom.sr.codedict import codes

    algorithm = hd.AlgorithmIdentificationSequence(
        name="brainseg",
        version=version("brainseg"),
        family=codes.cid7162.ArtificialIntelligence,
    )
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="FLAIR abnormality",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    sources = [pydicom.dcmread(each) for each in files]
    for each in sources:
        if (named := str(each.get("PatientName", ""))) and "^" not in named:
            each.PatientName = f"{named}^"  # a family name alone, which highdicom wants so
    try:
        result = hd.seg.Segmentation(
            source_images=sources,
            pixel_array=scan.back(mask).transpose(2, 1, 0).astype(np.uint8),  # [slice, row, column]
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[segment],
            series_instance_uid=hd.UID(),
            series_number=9001,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="brainseg",
            manufacturer_model_name="brainseg",
            software_versions=version("brainseg"),
            device_serial_number="0",
        )
        result.save_as(path)
    except Exception as error:  # highdicom and pydicom raise a dozen kinds
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"DICOM-SEG of {files[0]} could not be written ({why})") from error
    return path
