"""A mask as DICOM-SEG that refers to the slices it was made from; highdicom writes it."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainseg.predict.marks import is_dicom
from brainseg.predict.scan import Scan

NEEDED = "--dicom-seg needs highdicom; pip install 'brainseg[dicom-seg]'"


def write_dicom_seg(
    scan: Scan, mask: NDArray[np.bool_], path: Path, regions: Sequence[str]
) -> Path | None:
    """Write a segment a region of a DICOM series; None, and a note in the scan, where it is none.

    Args:
        scan: the case.
        mask: [K, D, H, W], with at least one slice.
        path: ending in .dcm.
        regions: K names.

    Raises:
        ValueError: highdicom is not installed, or refuses the series.
    """
    files = scan.files[scan.main]
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
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label="FLAIR abnormality" if region == "tumour" else region,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, region in enumerate(regions, 1)
    ]
    own = [scan.back(each).transpose(2, 1, 0) for each in mask]  # [slice, row, column]
    sources = [pydicom.dcmread(each) for each in files]
    for each in sources:
        if (named := str(each.get("PatientName", ""))) and "^" not in named:
            each.PatientName = f"{named}^"  # a family name alone, which highdicom wants so
    try:
        result = hd.seg.Segmentation(
            source_images=sources,
            pixel_array=np.stack(own, axis=-1).astype(np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
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
