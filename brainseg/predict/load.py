"""From weights on a disk to a segmenter: run folders, checkpoints, or the published form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from brainseg import hardware
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.reader import ALIASES
from brainseg.data.regions import Labels, labels_of
from brainseg.inference import THRESHOLD, Model
from brainseg.loaded import rebuilt
from brainseg.predict.published import OWN, is_published, load_published
from brainseg.predict.segmenter import Segmenter

# threshold, the same where one sequence stands in for all, temperature, tta, least part
Habits = tuple[float, float, float, bool, float]
_OF_A_RUN: Habits = (THRESHOLD, THRESHOLD, 1.0, False, 0.0)


def load(weights: Sequence[Path] = (), *, device: str = "auto") -> Segmenter:
    """A segmenter of run folders, checkpoint files, or folders in the published form.

    Args:
        weights: of a run its best checkpoint is taken; none are those that come along. Of several
            with other thresholds, temperatures, flips or least parts, those of a run are taken.
        device: auto (a GPU where there is one), cpu, or gpu, also called cuda.

    Raises:
        FileNotFoundError: there is nothing at one of the paths.
        ValueError: one is none of these, is broken, or was trained on slices prepared in another
            way than the first's; or there is no such device.
    """
    device = "gpu" if device == "cuda" else device
    if device not in ("auto", "cpu", "gpu"):
        raise ValueError(f"device={device} must be auto, cpu, or gpu, also called cuda")
    own = hardware.resolve({"accelerator": device, "precision": "auto"})
    paths = list(weights) or [OWN]
    opened = [_open(path) for path in paths]
    first = opened[0]
    for path, each in zip(paths, opened, strict=True):
        if each.prepared != first.prepared:
            raise ValueError(f"{path} was trained on slices prepared unlike the first's: leave it")
        if (each.regions, each.labels) != (first.regions, first.labels):
            raise ValueError(f"{path} segments other regions than the first: leave it")
        each.module.to(hardware.device(own["accelerator"]))
    agreed = {each.habits for each in opened}
    habits = agreed.pop() if len(agreed) == 1 else _OF_A_RUN
    return Segmenter(
        tuple(
            Model(each.module, own["precision"], windows=each.preprocessing.windows)
            for each in opened
        ),
        first.preprocessing,
        first.channels,
        first.regions,
        first.labels,
        {str(path): each.checksum for path, each in zip(paths, opened, strict=True)},
        str(hardware.describe(own["accelerator"])["device"]),
        *habits,
        first.known,
        tuple(dict.fromkeys(each.licence for each in opened if each.licence)),
    )


@dataclass(frozen=True)
class _Weights:
    module: nn.Module
    preprocessing: Preprocessing
    channels: tuple[str, ...]
    regions: tuple[str, ...]
    labels: Labels
    checksum: str
    habits: Habits = _OF_A_RUN
    known: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    licence: str = ""

    @property
    def prepared(self) -> tuple[object, ...]:
        """What all of an ensemble have in common; CT of its folds was cut to each one's own."""
        windows = self.preprocessing.windows
        shared = replace(self.preprocessing, windows=None)
        return shared, windows and windows.bounds, self.channels


def _open(path: Path) -> _Weights:
    if is_published(path):
        net, card = load_published(path)
        state = Preprocessing.from_state(card["preprocessing"])
        cuts = card["threshold"], card["threshold_alone"]
        habits = *cuts, card["temperature"], card["tta"], card["least_part"]
        named = tuple(card["channels"]), tuple(card["regions"]), card["labels"]
        return _Weights(
            net, state, *named, card["sha256"], habits, card["features"], card["licence"]
        )
    from brainseg.runs.checkpoint import digest, load_checkpoint  # these bring Lightning
    from brainseg.runs.folder import BEST, RunFolder
    from brainseg.training.build import load_module

    if path.is_dir():
        _ = RunFolder(path).required_metrics  # says what the folder is, where it is no run
        path = path / BEST
    checkpoint = load_checkpoint(path)
    if "preprocessing" not in checkpoint:
        raise ValueError(f"{path} does not say how its slices were prepared; train it again")
    state = Preprocessing.from_state(checkpoint["preprocessing"])
    data = checkpoint["config"]["data"]
    reader = rebuilt(data["reader"])
    channels = tuple(ALIASES.get(each, each) for each in reader.modalities)  # all of a volume
    module = load_module(path)
    labels = labels_of(reader.bits, reader.regions, module.regions)
    return _Weights(module, state, channels, module.regions, labels, digest(checkpoint))
