"""Medical Segmentation Decathlon: ten tasks, each as its own dataset.json says (Antonelli 2022)."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from brainseg.data import volumes
from brainseg.data.folders import left_out, walk
from brainseg.data.reader import Found, Patient, Slices
from brainseg.data.regions import region_bits

__all__ = ["Decathlon"]

LIST = "dataset.json"


class Task(NamedTuple):
    """What a task's files hold.

    Attributes:
        modalities: along the last axis of an image, where there are several.
        regions: labels of each; each has a channel of the masks.
    """

    modalities: tuple[str, ...]
    regions: dict[str, tuple[int, ...]]


TASKS = {
    # edema 1, non-enhancing tumour 2, enhancing tumour 3: not as BraTS counts them
    "Task01_BrainTumour": Task(
        ("flair", "t1", "t1ce", "t2"), {"wt": (1, 2, 3), "tc": (2, 3), "et": (3,)}
    ),
    "Task02_Heart": Task(("mri",), {"left_atrium": (1,)}),
    "Task03_Liver": Task(("ct",), {"liver": (1, 2), "cancer": (2,)}),
    "Task04_Hippocampus": Task(
        ("mri",), {"hippocampus": (1, 2), "anterior": (1,), "posterior": (2,)}
    ),
    "Task05_Prostate": Task(
        ("t2", "adc"), {"prostate": (1, 2), "peripheral": (1,), "transition": (2,)}
    ),
    "Task06_Lung": Task(("ct",), {"cancer": (1,)}),
    "Task07_Pancreas": Task(("ct",), {"pancreas": (1, 2), "cancer": (2,)}),
    "Task08_HepaticVessel": Task(("ct",), {"vessel": (1,), "tumour": (2,)}),
    "Task09_Spleen": Task(("ct",), {"spleen": (1,)}),
    "Task10_Colon": Task(("ct",), {"cancer": (1,)}),
}


class Decathlon:
    """One task of the Decathlon: the volumes that its dataset.json lists for training.

    Files that are not listed are not read. Slices are cut as the affine has them; Task09's images
    are known to lie otherwise than their headers say, which is left as it is. CC BY-SA 4.0.

    Args:
        task: a folder's name, as in `TASKS`.

    Raises:
        ValueError: there is no such task.
    """

    stand_in: str | None = None
    same_size = False
    windows: Sequence[tuple[float, float]] = ()  # as of `volumes.read`
    licence = "CC BY-SA 4.0, as the Decathlon's volumes that they were trained on"
    limits = ("volumes of one task of the Medical Segmentation Decathlon: nothing else was learnt",)

    def __init__(self, *, task: str) -> None:
        if task not in TASKS:
            raise ValueError(
                f"data.reader.task={task}; must be one of {', '.join(TASKS)}; set it to one"
            )
        self.task = task
        self.modalities, regions = TASKS[task]
        self.regions = tuple(regions)
        self.bits = region_bits(regions)
        self.settings = f"{task} {self.modalities} {self.regions} {self.bits}"
        self.axes = 4 if len(self.modalities) > 1 else 3

    def find(self, root: str | Path | None = None) -> Found:
        """The patients that dataset.json lists, and what becomes of everything else.

        Args:
            root: the task's folder, or what it lies in.

        Raises:
            FileNotFoundError: there is no dataset.json, or several, or it is broken or another's.
        """
        top = Path(root).expanduser().absolute() if root else None
        places = [place for place in (top, top and top / self.task) if place]
        lists = [place / LIST for place in places if (place / LIST).is_file()]
        if not lists:
            raise FileNotFoundError(
                f"data.root={root}; must be or hold {self.task} with its {LIST}; set data.root=PATH"
            )
        folder = lists[0].parent
        said = self._said(lists[0])
        problems, patients = list[str](), list[Patient]()
        listed: set[Path] = set()
        bar = tqdm(said["training"], "reading headers", unit="patient", delay=2, disable=None)
        for entry in bar:
            image, labels = (folder / PurePosixPath(entry[key]) for key in ("image", "label"))
            if image in listed:
                problems.append(f"{image}: is listed twice in {LIST}")
                continue
            listed |= {image, labels}
            if absent := [path for path in (image, labels) if not path.is_file()]:
                problems += [f"{path}: is listed in {LIST}, and is not there" for path in absent]
                continue
            name = image.name.partition(".nii")[0]
            each = [image] * len(self.modalities)
            patient, wrong = volumes.patient(name, "", each, labels, axes=self.axes)
            patients += [patient] if patient else []
            problems += wrong
        other, system = list[str](), 0
        for each_folder in walk(folder):
            system += each_folder.system
            files = [each_folder.path / name for name in each_folder.files]
            other += [path.name for path in files if path not in {*listed, lists[0]}]
        notes = [f"files that {LIST} does not list for training ({len(other)})"] * bool(other)
        patients.sort(key=lambda patient: patient.name)
        return Found(patients, problems, [*notes, *left_out(folder, [], [], system)], "", folder)

    def shape(self, patient: Patient) -> tuple[int, int] | None:
        """Height and width of the patient's slices, by its header."""
        return volumes.shape(patient)

    def read(self, patient: Patient) -> Slices:
        """Each sequence from its least value to its 99.9th percentile, or within its window."""
        return volumes.read(patient, self.bits, axes=self.axes, windows=self.windows)

    def foreground(self, patient: Patient) -> NDArray[np.float32]:
        """What the files measure at the labelled voxels, [n, C]."""
        return volumes.foreground(patient, self.bits, axes=self.axes)

    def _said(self, path: Path) -> dict[str, Any]:
        """What dataset.json says, where it is this task's."""
        try:
            said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            labels = {int(label) for label in said["labels"]}
            [(entry["image"], entry["label"]) for entry in said["training"]]
            channels = len(said["modality"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise FileNotFoundError(f"{path} is no list of a task ({reason})") from error
        if labels != set(self.bits) or channels != len(self.modalities):
            raise FileNotFoundError(
                f"{path} has labels {sorted(labels)} and {channels} sequences, {self.task} has "
                f"{sorted(self.bits)} and {len(self.modalities)}; set data.reader.task"
            )
        return said
