"""From a patient's volume to the network's input, and from its output back to the original pixels.

One object does it for the cache, for scoring and for a scan that was never cached: `fit` is the
half that is cached, `scale` what is done when a slice is read, `apply` both.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from brainseg.data.head import HEAD, Map, brain_box, foreground, statistics
from brainseg.data.preprocess import (
    DENOISE,
    Floats,
    Geometry,
    Pixels,
    denoise,
    fit_image,
    fit_mask,
    undo,
    whole_box,
)
from brainseg.data.window import Windows

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 4096  # pixels of a side
VERSION = 1  # another one wherever the same volume would become another input


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a patient's volume; its arguments are those of `Scans`.

    Attributes:
        size: height and width of the network's input, in pixels; or, until the scans are read
            (`data.size`), a share of the pixels that a head has a side, above 0 to 1.
        crop: whether to cut to the brain's box, else to the smallest square around the image.
        denoise: `none`, `median` or `nlm`.
        intensity: `unit` is 0 to 1; `zscore` is in SD from the mean, by patient and channel; `ct`
            is in SD from the mean of the labelled voxels that trained (`windows`).
        channels: which of the volume's channels the network gets, in its order.
        head: how it is found: `otsu` or `power` (`head.foreground`).
        few: nothing is cut of a volume of fewer slices, which do not show how large the head is.
        orientation: where slices, rows and columns ran to in the patients' files, such as SPL (up,
            back, left), each that there was; empty where the files tell none. It changes no pixel.
        windows: with `ct`, once the scans are read: window and scale of each channel.

    Raises:
        ValueError: a value is none of these.
    """

    size: int | float
    crop: bool
    denoise: str
    intensity: str
    channels: tuple[int, ...]
    head: str = "otsu"
    few: int = 0
    orientation: tuple[str, ...] = ()
    windows: Windows | None = None

    def __post_init__(self) -> None:
        most = LARGEST if isinstance(self.size, int) else 1
        if isinstance(self.size, bool) or not 0 < self.size <= most:
            raise ValueError(
                f"data.size={self.size}; must be a whole number of pixels, at most {LARGEST}, or "
                "a share of the head's resolution, above 0 to 1.0; set data.size=256"
            )
        choices = {"intensity": ("unit", "zscore", "ct"), "denoise": DENOISE, "crop": (False, True)}
        choices |= {"head": HEAD}
        for key, allowed in choices.items():
            if (value := getattr(self, key)) not in allowed:
                named = ", ".join(map(str, allowed))
                raise ValueError(
                    f"data.{key}={value}; must be one of {named}; set data.{key} to one"
                )
        if not isinstance(self.few, int) or self.few < 0:
            raise ValueError(f"few={self.few}; must be a number of slices, 0 or more")

    def apply(self, volume: Pixels) -> "tuple[Tensor, Geometry]":
        """A volume as the network's input.

        Args:
            volume: all slices of one patient, uint8 [D, H, W, M], M at least the channels named.

        Returns:
            float32 [D, C, size, size], and what `undo` needs.
        """
        import torch  # not for the process that owns a sweep, which only prepares the cache

        with ThreadPoolExecutor() as pool:  # of one patient; a cache has many under way
            pixels, geometry = self.fit(volume, pool.map)
        scaled = np.stack([self.scale(each, geometry) for each in pixels])
        return torch.from_numpy(scaled), geometry

    def fit(self, volume: Pixels, each: Map = map) -> tuple[Pixels, Geometry]:
        """The half that is cached: uint8 [D, size, size, M], all channels, whatever `intensity`.

        Args:
            volume: as of `apply`.
            each: what goes through channels and slices, such as the `map` of a pool of threads.
        """

        def fitted(image: Pixels) -> Pixels:
            return fit_image(denoise(image, self.denoise), box, self.pixels)

        shape = (volume.shape[1], volume.shape[2])
        crop = self.crop and len(volume) >= self.few
        box = brain_box(foreground(volume, self.head, each)) if crop else whole_box(*shape)
        pixels = np.stack(list(each(fitted, volume)))
        scale = statistics(pixels, self.head)
        mean, deviation = (np.asarray(numbers, np.float32) for numbers in scale)
        return pixels, Geometry(shape, box, mean, deviation)

    def fit_masks(self, masks: Pixels, geometry: Geometry) -> Pixels:
        """Masks [D, H, W] of region bits as [D, size, size], each region for itself."""
        fitted = np.zeros((len(masks), self.pixels, self.pixels), np.uint8)
        for bit in range(8):
            if (inside := masks >> bit & 1).any():
                each = (fit_mask(mask, geometry.box, self.pixels) for mask in inside)
                fitted |= np.stack(list(each)) << bit
        return fitted

    def scale(self, pixels: Pixels, geometry: Geometry) -> Floats:
        """The other half: one fitted slice [H, W, M] as float32 [C, H, W]."""
        mean, deviation = self.levels(geometry)
        return (self.select(pixels) - mean[:, None, None]) / deviation[:, None, None]

    def select(self, pixels: Pixels) -> Pixels:
        """The network's channels of one fitted slice [H, W, M], [C, H, W]."""
        channels = np.take(pixels.transpose(2, 0, 1), self.channels, axis=0)
        if self.windows is None:
            return channels
        each = zip(self.channels, channels, strict=True)
        return np.stack([self.windows.cut(number, channel) for number, channel in each])

    def levels(self, geometry: Geometry) -> tuple[Floats, Floats]:
        """What `scale` subtracts from the network's channels, then divides them by; [C] each."""
        channels = list(self.channels)
        if self.intensity == "unit":
            return np.zeros(len(channels), np.float32), np.full(len(channels), 255, np.float32)
        if self.windows is not None:
            scale = (self.windows.mean, self.windows.deviation)
            mean, deviation = (np.asarray(each, np.float32)[channels] for each in scale)
            return mean, deviation
        return geometry.mean[channels], geometry.deviation[channels]

    def undo(self, probabilities: Floats, geometry: Geometry) -> Floats:
        """[D, size, size] back on the original pixels, [D, H, W]; 0 outside the box."""
        return undo(probabilities, geometry.box, geometry.shape)

    @property
    def pixels(self) -> int:
        """The size, where it is no share any more."""
        if not isinstance(self.size, int):
            raise RuntimeError(f"size={self.size} is a share; prepare() the scans first")
        return self.size

    @property
    def cached(self) -> str:
        """What cached pixels depend on; part of the name of their folder."""
        more = ", intensity='ct', wide" if self.intensity == "ct" else ""  # others share theirs
        more += f", head={self.head!r}" if self.head != "otsu" else ""  # which came first
        return f"Settings(size={self.size}, denoise={self.denoise!r}, crop={self.crop}{more})"

    def state(self) -> dict[str, Any]:
        """Version and numbers as plain containers, for a checkpoint."""
        plain = {"channels": list(self.channels), "orientation": list(self.orientation)}
        return {"version": VERSION, **asdict(self), **plain}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Preprocessing":
        """What `state` gave.

        Raises:
            ValueError: another version of brainseg prepared the slices in another way.
        """
        values = {"orientation": ()} | dict(state)
        if (version := values.pop("version", None)) != VERSION:
            raise ValueError(
                f"preprocessing version {version} is not the {VERSION} of this brainseg; predict "
                "with the brainseg that trained it, or train it again"
            )
        if values.pop("copies", "otsu") != "otsu":
            raise ValueError("weights of revision fe7d797 or before; export them again")
        values |= {key: tuple(values[key]) for key in ("channels", "orientation")}
        windows = Windows.from_plain(values.get("windows"))
        if values.get("intensity") == "ct" and max(values["channels"]) >= len(windows or ()):
            raise ValueError("intensity ct without the windows of its channels")
        return cls(**values | {"windows": windows})
