"""What kind of file it is: by its ending, and of DICOM without one by the format's own mark."""

from pathlib import Path

DICOM = (".dcm", ".dicom", ".ima")


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM."""
    if path.suffix.lower() in DICOM:
        return True
    if path.suffix and not path.suffix[1:].isdigit():  # as in 1.2.840.113619, a name from a scanner
        return False
    try:
        return has_mark(path)
    except OSError:
        return False


def has_mark(path: Path) -> bool:
    """Whether a file begins as DICOM does; raises `OSError` where it cannot be read."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
