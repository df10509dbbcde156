"""Trained weights that segment: of one run, or the mean of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch import Tensor

from brainseg.data.grey import to_bytes
from brainseg.data.preprocessing import Preprocessing
from brainseg.data.regions import Labels
from brainseg.inference import THRESHOLD, Model, predict
from brainseg.predict.cases import Finder
from brainseg.predict.scan import FLAIR, Scan, without_small

Probs = NDArray[np.float32]


@dataclass(frozen=True)
class Segmenter:
    """Scans to probabilities.

    Attributes:
        models: that are averaged.
        preprocessing: that of their training, which they share but for their windows of CT.
        channels: names of the volume's channels, such as pre, flair, post.
        labels: of each region, in the order in which a label map is painted.
        regions: what is segmented, in the order of the network's channels.
        sources: where each model is from, and the SHA-256 of its weights.
        device: that they run on.
        threshold: the weights' own, on calibrated probability; 0.5 unless they are published.
        threshold_alone: the same where one sequence stands in for all others.
        temperature: what `calibrated` divides logits by; 1 unless they are published.
        tta: whether to average over flips, where the caller says nothing.
        least_part: parts of a mask that are smaller than this share of the largest are dropped.
        known: of features of a scan the least and the most in training (`predict.features`).
        licences: of the weights, where they say one.
    """

    models: tuple[Model, ...]
    preprocessing: Preprocessing
    channels: tuple[str, ...]
    regions: tuple[str, ...]
    labels: Labels
    sources: dict[str, str]
    device: str
    threshold: float = THRESHOLD
    threshold_alone: float = THRESHOLD
    temperature: float = 1.0
    tta: bool = False
    least_part: float = 0.0
    known: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    licences: tuple[str, ...] = ()

    def to(self, device: str) -> "Segmenter":
        """The same weights on another device: cpu, cuda, or auto.

        Raises:
            ValueError: there is no such device.
        """
        from brainseg.predict.load import load

        return load([Path(each) for each in self.sources], device=device)

    def probabilities(self, scan: Scan, *, tta: bool | None = None) -> Probs:
        """What the networks say on the scan's own pixels, [K, D, H, W] in [0, 1], uncalibrated."""
        flips = self.tta if tta is None else tta
        return predict(self.models, scan.volume(self.channels), self.preprocessing, tta=flips)

    def cut(self, scan: Scan) -> float:
        """The weights' own threshold, in [0, 1]: `threshold_alone` for a scan of one of several."""
        lost = len(scan.missing(self.used()))
        alone = lost > 0 and lost >= len(self.used()) - 1
        return self.threshold_alone if alone else self.threshold

    def mask(self, probs: Probs, threshold: float) -> NDArray[np.bool_]:
        """Where `probabilities` are above a threshold once they are calibrated, [K, D, H, W].

        Args:
            probs: what `probabilities` gave.
            threshold: within 0 and 1, such as the weights' own for the scan (`cut`).

        Raises:
            ValueError: the threshold is outside.
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold={threshold} must be within 0 and 1")
        found = np.asarray(probs > calibrated(np.float32(threshold), 1 / self.temperature))
        for each in found if self.least_part else ():
            each[:] = without_small(each, self.least_part)
        return found

    def label_map(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """A `mask` as one label a pixel [D, H, W], in the numbers of the training's own files."""
        found = np.zeros(mask.shape[1:], np.uint8)
        for region, label in self.labels.items():
            found[mask[self.regions.index(region)]] = label
        return found

    def __call__(
        self, image: Any, *, threshold: float | None = None, tta: bool | None = None
    ) -> Any:
        """The mask of an image, of the same height and width.

        Args:
            image: NumPy or torch [H, W], which is FLAIR; [C, H, W] or [D, C, H, W], C as
                `channels` or 1, any range; or the path of a case that `predict` reads.
            threshold: on the calibrated probability; None is the weights' own.
            tta: average over flips; None is as the weights' scores were measured.

        Returns:
            bool [H, W] or [D, H, W], of NumPy or torch as the image; of a file in its own axes.
            Where there are several regions, they are a first axis more: [K, H, W], [K, D, H, W].

        Raises:
            ValueError: the shape is none of these, values are not real and finite, the threshold is
                outside 0 and 1, or the file cannot be read.
        """
        if isinstance(image, str | Path):
            cases, _ = self.finder().find([Path(image)])
            if len(cases) != 1:
                raise ValueError(f"{image} holds {len(cases)} cases; give one")
            scan = cases[0].read().known_as(self.channels)
            mask = self._mask(scan, threshold, tta)
            return self._alone(np.stack([scan.back(each) for each in mask]))
        array = _array(image)
        slices = array[(None,) * (4 - array.ndim)] if array.ndim in (2, 3, 4) else array
        if slices.ndim != 4 or not slices.size or slices.shape[1] not in (1, len(self.channels)):
            raise ValueError(
                f"image of shape {array.shape} must be [H, W], [C, H, W] or [D, C, H, W] with "
                f"C 1 or {len(self.channels)}: {', '.join(self.channels)}"
            )
        main = FLAIR if FLAIR in self.channels else self.channels[0]
        names = self.channels if slices.shape[1] > 1 else (main,)
        windows = self._windows or [None] * len(names)
        pixels = {
            name: to_bytes(slices[:, k], name, windows[k]).bytes for k, name in enumerate(names)
        }
        mask = self._mask(Scan("image", pixels, {}, main=main), threshold, tta)
        mask = self._alone(mask if array.ndim == 4 else mask[:, 0])
        return torch.from_numpy(mask) if isinstance(image, Tensor) else mask

    def _mask(self, scan: Scan, threshold: float | None, tta: bool | None) -> NDArray[np.bool_]:
        own = self.cut(scan) if threshold is None else threshold
        return self.mask(self.probabilities(scan, tta=tta), own)

    def _alone(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Without the axis of regions, where there is one."""
        return mask if len(self.regions) > 1 else mask[0]

    @property
    def _windows(self) -> tuple[tuple[float, float], ...]:
        known = self.preprocessing.windows
        return known.bounds if known else ()

    def finder(self, *, resample: bool = False, order: Sequence[str] = ()) -> Finder:
        """What finds and reads cases for these weights."""
        return Finder(resample, tuple(order), self.channels, self._windows)

    @property
    def identity(self) -> tuple[object, ...]:
        """What a mask depends on beside its scan and what the caller says."""
        weights = sorted(self.sources.values())
        cuts = self.threshold, self.threshold_alone, self.temperature
        return weights, *cuts, self.tta, self.least_part

    def used(self) -> list[str]:
        """The sequences that the networks see."""
        return [self.channels[k] for k in self.preprocessing.channels]


def _array(image: Any) -> NDArray[Any]:
    """An image of NumPy or torch as an array."""
    if not isinstance(image, Tensor):
        return np.asarray(image)
    dense = image.detach().to_dense().cpu()
    return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()  # NumPy has none


def calibrated(probs: Any, temperature: float) -> Any:
    """Probabilities whose logits are divided by a temperature (Guo et al. 2017, section 4.2)."""
    return probs if temperature == 1 else expit(logit(probs) / np.float32(temperature))
