"""Builds the cache: each slice is read, checked, fitted to the network's size and written."""

import hashlib
import logging
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainseg.data import checks
from brainseg.data.pool import each
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.reader import Found, Patient, Reader, SliceError
from brainseg.data.regions import apart, pack
from brainseg.data.size import side, size_of
from brainseg.data.store import Meta, PatientMeta
from brainseg.data.window import measure
from brainseg.data.writer import Writer

Pixels = NDArray[np.uint8]
Shape = tuple[int, int]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Record:
    """What is kept of a patient when the pixels are written."""

    meta: PatientMeta
    files: tuple[Path, ...]
    digests: list[tuple[str, str]]  # of each original image and mask

    def plain(self) -> dict[str, Any]:
        """As JSON can keep it."""
        files = [str(path) for path in self.files]
        return {"meta": asdict(self.meta), "files": files, "digests": self.digests}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "_Record":
        pairs = [(image, mask) for image, mask in plain["digests"]]
        return cls(PatientMeta.from_plain(plain["meta"]), tuple(map(Path, plain["files"])), pairs)


@dataclass(frozen=True)
class _Volume:
    record: _Record
    images: Pixels  # [D, size, size, C]
    masks: Pixels  # [D, size, size]
    originals: Pixels  # [D, regions, packed]


_Prepared = tuple[_Volume | None, list[list[str]]]  # lines for each slice that is left out


def build(
    folder: Path,
    reader: Reader,
    found: Found,
    preprocessing: Preprocessing,
    source: list[str],
) -> Meta:
    """Fill `folder` with the slices that can be used, and say what is wrong with the others.

    Args:
        folder: An empty folder, or what a killed build of the same left, which goes on.
        reader: Reads the patients.
        found: What the reader found.
        preprocessing: What to do to the pixels.
        source: As in `Meta`.
    """
    patients, problems, skipped = found.patients, list(found.problems), len(found.problems)
    records: list[_Record] = []
    shapes = Counter(filter(None, (reader.shape(patient) for patient in patients)))
    usual = shapes.most_common(1)[0][0] if shapes and reader.same_size else None
    packed = max((-(-height * width // 8) for height, width in shapes), default=0)
    labelled = measure(reader, patients) if preprocessing.intensity == "ct" else None
    if labelled is not None:
        reader.windows = labelled.bounds  # type: ignore[attr-defined]
    if isinstance(preprocessing.size, float):
        crop, head = preprocessing.crop, preprocessing.head
        sides = each(lambda p: side(reader, p, crop=crop, head=head), patients, "measuring heads")
        preprocessing = replace(preprocessing, size=size_of(preprocessing.size, sides))
    with Writer(folder) as writer:
        if writer.done:
            log.info("goes on after %d of %d patients", len(writer.done), len(patients))
        for volume, wrong in each(
            lambda p: _prepare(reader, p, usual, packed, preprocessing),
            patients[len(writer.done) :],
            "reading scans",
        ):
            if volume is not None:
                writer.add(volume.images, volume.masks, volume.originals)
            entry: dict[str, Any] = {"record": volume and volume.record.plain(), "wrong": wrong}
            writer.note(entry)
            writer.done.append(entry)
        for entry in writer.done:
            problems += [line for lines in entry["wrong"] for line in lines]
            skipped += len(entry["wrong"])
            records += [_Record.from_plain(entry["record"])] if entry["record"] else []
        meta = Meta(
            source=source,
            fingerprint=_fingerprint(records),
            packed=packed,
            size=preprocessing.pixels,
            channels=len(reader.modalities),
            regions=len(reader.regions),
            problems=problems,
            skipped=skipped,
            duplicates=_duplicates(records),
            patients=[record.meta for record in records],
            labelled=labelled,
        )
        writer.finish(meta)
    return meta


def _prepare(
    reader: Reader,
    patient: Patient,
    usual: Shape | None,
    packed: int,
    preprocessing: Preprocessing,
) -> _Prepared:
    """A patient's good slices (None without any), and what is wrong with the others."""
    problems: list[list[str]] = []
    try:
        images, masks, affine, ranges = reader.read(patient)
    except SliceError as error:
        problems = list(error.problems.values())
        patient = patient.without(error.problems)
        if not patient.slices:
            return None, problems
        images, masks, affine, ranges = reader.read(patient)
    if wrong := _other_size(images.shape[1], images.shape[2], usual, packed):
        return None, [*problems, *([f"{path}: {wrong}"] for path in patient.images)]
    blank = [checks.is_blank(image) for image in images]
    if odd := checks.implausible(patient, images, masks, blank):
        problems += odd.values()
        if not (kept := [k for k in range(len(images)) if k not in odd]):
            return None, problems
        patient, images, masks = patient.without(odd), images[kept], masks[kept]
        blank = [blank[k] for k in kept]
    missing = list(patient.absent)
    if reader.stand_in not in missing:  # whose copies tell it, of files that are there too
        missing = checks.missing(images, reader.modalities, reader.stand_in)
    flat = pack(apart(masks, range(len(reader.regions))), packed)
    fitted, geometry = preprocessing.fit(images)
    meta = PatientMeta(
        name=patient.name,
        institution=patient.institution,
        slices=list(patient.slices),
        shape=geometry.shape,
        tumour=np.bitwise_count(flat).sum(2, dtype=int).tolist(),
        box=geometry.box,
        mean=geometry.mean.tolist(),
        deviation=geometry.deviation.tolist(),
        missing=missing,
        blank=blank,
        affine=[] if affine is None else affine.tolist(),
        ranges=list(ranges),
        part=patient.part,
        person=patient.person,
    )
    digests = [(checks.sha256(i), checks.sha256(m)) for i, m in zip(images, masks, strict=True)]
    record = _Record(meta, patient.images, digests)
    return _Volume(record, fitted, preprocessing.fit_masks(masks, geometry), flat), problems


def _other_size(height: int, width: int, usual: Shape | None, packed: int) -> str:
    if usual is not None and (height, width) != usual:
        return f"{height}x{width} pixels, most patients {usual[0]}x{usual[1]}"
    larger = height * width > 8 * packed  # where the slices that were measured are damaged
    return f"{height}x{width} pixels, larger than the patient's other slices" if larger else ""


def _fingerprint(records: list[_Record]) -> str:
    """SHA-256 over patients, slice numbers and the digests of their pixels."""
    lines = [
        f"{record.meta.name} {number} {image} {mask}"
        for record in records
        for number, (image, mask) in zip(record.meta.slices, record.digests, strict=True)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _duplicates(records: list[_Record]) -> list[tuple[str, str]]:
    """Files with the pixels of an earlier patient's; slices of one colour don't count."""
    first: dict[str, tuple[int, Path]] = {}
    pairs: list[tuple[str, str]] = []
    for number, record in enumerate(records):
        slices = zip(record.files, record.digests, record.meta.blank, strict=True)
        for path, (digest, _), blank in slices:
            owner, original = first.setdefault(digest, (number, path))
            if owner != number and not blank:
                pairs.append((str(original), str(path)))
    return pairs
