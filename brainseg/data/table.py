"""A CSV that lists a data set: images, masks, and perhaps their patients and parts."""

import csv
from pathlib import Path
from typing import NamedTuple

from brainseg.data.folders import walk
from brainseg.data.patterns import PLACE, Key

PARTS = ("train", "val", "test")
_NEEDED, _MORE = ("image", "mask"), ("patient", "split")


class Row(NamedTuple):
    """An image and its mask.

    Attributes:
        files: of each modality, and the `mask`.
        patient: as the table names it; empty where it does not.
        part: train, val or test; empty likewise.
    """

    files: dict[str, Path]
    patient: str
    part: str


class Table(NamedTuple):
    """What a table lists.

    Attributes:
        rows: by the folder and name of their image.
        problems: what is wrong, a line each.
        other: files below the data set's folder that it does not list.
        system: files and folders of the system there.
    """

    rows: dict[Key, Row]
    problems: list[str]
    other: list[str]
    system: int


def read_table(path: Path, top: Path, modalities: dict[str, str]) -> Table:
    """Read a table, and look for what lies beside its files.

    Args:
        path: with the columns image and mask (paths, below `top` or absolute) and perhaps patient
            and split. Where each modality has a file of its own, the image's path has `MODALITY`.
        top: the data set's folder.
        modalities: what stands for it of each, or one of nothing.

    Raises:
        FileNotFoundError: it is no CSV with these columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            rows, names = list(table), tuple(table.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileNotFoundError(f"data.reader.table={path}; cannot be read ({error})") from error
    if lacking := [name for name in _NEEDED if name not in names]:
        raise FileNotFoundError(
            f"data.reader.table={path}; has no column {lacking[0]} but {', '.join(names)}; must "
            f"have {', '.join(_NEEDED)}, and may have {', '.join(_MORE)}"
        )
    found: dict[Key, Row] = {}
    problems: list[str] = []
    part_of: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        image, mask, patient, part = ((row.get(key) or "").strip() for key in (*_NEEDED, *_MORE))
        files = {name: top / image.replace(PLACE, word) for name, word in modalities.items()}
        files["mask"] = top / mask
        name = Path(image).name.removesuffix(".gz")
        key = (str((top / image).parent), Path(name).stem)
        said = f"{path}, line {number}"
        wrong = [f"{said}: has no {key}" for key in _NEEDED if not (row.get(key) or "").strip()]
        absent = [each for each in files.values() if not each.is_file()]
        wrong = wrong or [f"{said}: {each} is not there" for each in absent]
        if part and part not in PARTS:
            wrong.append(f"{said}: split {part} must be one of {', '.join(PARTS)}")
        elif patient and part_of.setdefault(patient, part) != part:
            sides = f"{part_of[patient] or 'no part'} and {part or 'no part'}"
            wrong.append(f"{said}: patient {patient} is in {sides}")
        if key in found:
            wrong.append(f"{said}: {image} is there twice")
        problems += wrong
        if not wrong:
            found[key] = Row(files, patient, part)
    listed = {path, *(file for row in found.values() for file in row.files.values())}
    other, system = list[str](), 0
    for folder in walk(top):
        problems += [f"{folder.path}: {folder.problem}"] if folder.problem else []
        system += folder.system
        other += [name for name in folder.files if folder.path / name not in listed]
    return Table(found, problems, other, system)
