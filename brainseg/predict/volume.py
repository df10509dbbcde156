"""A case of volumes, by the sequences that the weights know."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from brainseg.predict.scan import FLAIR, Scan


def not_used(sequence: str, known: Sequence[str]) -> str:
    """Why the volume of a sequence is not segmented; empty where it is."""
    reasons = {
        "mask": "a mask, by its name",
        "numbered": "a sequence by its number; say which, as --order flair pre post",
    }
    if FLAIR in known and "t2" not in known:
        reasons["t2"] = "T2, which these weights do not know"
    return reasons.get(sequence, "")


def read_volume(
    name: str,
    files: Mapping[str, Sequence[Path]],
    known: Sequence[str],
    *,
    order: Sequence[str] = (),
    resample: bool = False,
    windows: Sequence[tuple[float, float]] = (),
) -> Scan:
    """One case, with FLAIR; or, of weights of another organ, with all that they know.

    Args:
        name: of the case.
        files: sequence to its file, folder, or files of a DICOM series.
        known: the weights' channels.
        order: as of `Finder`.
        resample: as of `nifti.read`.
        windows: of each channel, with CT, the values that become 0 and 255.

    Raises:
        ValueError: a sequence is not there, or not known; or as `nifti.read`.
    """
    for sequence, paths in files.items():
        if why := not_used(sequence, known):
            raise ValueError(f"{paths[0]} is {why}; give FLAIR")
    main = FLAIR
    if FLAIR not in known:
        if len(known) == len(files) == 1:  # whatever it is called
            files = {known[0]: next(iter(files.values()))}
        if set(known) in (set(files), set(order)):
            main = known[0]
    if main not in files and not (order and len(files) == 1):  # else one file may hold all
        found = ", ".join(f"{paths[0]} is {sequence}" for sequence, paths in files.items())
        remedy = "name it ..._flair, or give --flair FILE"
        if FLAIR not in known:
            remedy = f"the weights know {', '.join(known)}: give all, named so"
        raise ValueError(f"{name} has no {main.upper()} ({found}); {remedy}")
    from brainseg.predict import nifti  # nibabel

    bounds = dict(zip(known, windows, strict=False))
    return nifti.read(name, files, main=main, order=order, resample=resample, windows=bounds)
