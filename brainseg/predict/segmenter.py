"""Trained weights that segment: of one run, or the mean of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainseg import hardware
from brainseg.data.preprocessing import Preprocessing
from brainseg.inference import Model, predict
from brainseg.predict.scan import Scan
from brainseg.runs.checkpoint import digest, load_checkpoint
from brainseg.runs.folder import BEST, RunFolder
from brainseg.training.build import load_module

Probs = NDArray[np.float32]


@dataclass(frozen=True)
class Segmenter:
    """Scans to probabilities.

    Attributes:
        models: that are averaged.
        preprocessing: that of their training, which they share.
        channels: names of the volume's channels, such as pre, flair, post.
        sources: where each model is from, and the SHA-256 of its weights.
        device: that they run on.
    """

    models: tuple[Model, ...]
    preprocessing: Preprocessing
    channels: tuple[str, ...]
    sources: dict[str, str]
    device: str

    def probabilities(self, scan: Scan, *, tta: bool = False) -> Probs:
        """The probability of tumour on the scan's own pixels, [D, H, W] in [0, 1]."""
        return predict(self.models, scan.volume(self.channels), self.preprocessing, tta=tta)

    def used(self) -> list[str]:
        """The sequences that the networks see."""
        return [self.channels[k] for k in self.preprocessing.channels]


def load(weights: Sequence[Path], *, device: str = "auto") -> Segmenter:
    """A segmenter of run folders or checkpoint files.

    Args:
        weights: of each the best checkpoint, or the file itself.
        device: auto (a GPU where there is one), cpu or gpu.

    Raises:
        ValueError: one is neither, is broken, or was trained on slices prepared in another way.
    """
    models, sources, first = [], {}, None
    for path in weights:
        if path.is_dir():
            _ = RunFolder(path).required_metrics  # says what the folder is, where it is no run
            path = path / BEST
        checkpoint = load_checkpoint(path)
        if "preprocessing" not in checkpoint:
            raise ValueError(f"{path} does not say how its slices were prepared; train it again")
        state = Preprocessing.from_state(checkpoint["preprocessing"])
        data = checkpoint["config"]["data"]
        here = (state, _channels(data))
        if first is not None and here != first:
            raise ValueError(
                f"{path} was trained on slices prepared unlike the first's; leave it out"
            )
        first = here
        trainer = hardware.resolve({"accelerator": device, "precision": "auto"})
        module = load_module(path)
        module.to(hardware.device(trainer["accelerator"]))
        models.append(Model(module, trainer["precision"]))
        sources[str(path)] = digest(checkpoint)
    assert first is not None
    name = str(hardware.describe(trainer["accelerator"])["device"])
    return Segmenter(tuple(models), *first, sources, name)


def _channels(data: dict[str, object]) -> tuple[str, ...]:
    """All modalities of the reader that the network was trained with."""
    from brainseg.config import instantiate, refuse_foreign_targets

    refuse_foreign_targets({"reader": data["reader"]})
    return tuple(instantiate(data["reader"]).modalities)
