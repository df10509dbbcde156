"""Augmentation of a slice and its mask, with draws that the caller can repeat."""

import random
from dataclasses import dataclass

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from brainseg.data.levels import Levels

__all__ = ["Augmentation", "augment", "transform"]


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training slice.

    Attributes:
        pixels: to its bytes and its mask; see `transform`.
        levels: to what the network gets of them.
    """

    pixels: A.Compose
    levels: Levels


def augment(
    *,
    horizontal_flip: float = 0.5,
    vertical_flip: float = 0.5,
    affine: float = 0.5,
    rotate: float = 15.0,
    zoom: float = 0.1,
    shift: float = 0.1,
    gamma: float = 0.0,
    noise: float = 0.0,
    blur: float = 0.0,
    gain: float = 0.0,
    offset: float = 0.0,
    sequence_dropout: float = 0.0,
) -> Augmentation:
    """Build the augmentation for uint8 images `[H, W, C]` and their masks `[H, W]`.

    Mask values stay what they were (nearest neighbour) and the border is filled with 0.

    Args:
        horizontal_flip: Probability of a left-right flip.
        vertical_flip: Probability of a top-bottom flip.
        affine: Probability of rotation, zoom and shift, which are drawn and applied together.
        rotate: Largest rotation, in degrees, drawn from `[-rotate, rotate]`.
        zoom: Largest change of scale, drawn from `[1 - zoom, 1 + zoom]`, the same on both axes.
        shift: Largest shift along each axis, as a share of the side, drawn from `[-shift, shift]`.
        gamma: Probability of grey values to the power of 0.8 to 1.25.
        noise: Probability of Gaussian noise, its SD up to 3 % of the range of grey values.
        blur: Probability of a Gaussian blur, its SD 0.3 to 1 pixel.
        gain: Largest change of each channel's contrast, as in `Levels`.
        offset: Largest shift of each channel's brightness, as in `Levels`.
        sequence_dropout: Probability that a sequence is lost, as in `Levels`.

    Raises:
        ValueError: If a value is no number, a probability is outside [0, 1], `rotate` outside
            [0, 180], `offset` negative, or `zoom`, `shift` or `gain` outside [0, 1).
    """
    probabilities = {
        "horizontal_flip": horizontal_flip,
        "vertical_flip": vertical_flip,
        "affine": affine,
        "gamma": gamma,
        "noise": noise,
        "blur": blur,
        "sequence_dropout": sequence_dropout,
    }
    shares = {"zoom": zoom, "shift": shift, "gain": gain}
    for name, value in {**probabilities, "rotate": rotate, "offset": offset, **shares}.items():
        if not isinstance(value, int | float):
            raise ValueError(f"{name}={value} must be a number; set augment.{name} to one")
    for name, probability in probabilities.items():
        if not 0 <= probability <= 1:
            raise ValueError(
                f"{name}={probability} must be a probability; set augment.{name} within 0 and 1"
            )
    if not 0 <= rotate <= 180:
        raise ValueError(
            f"rotate={rotate} must be within 0 and 180 degrees, either way; set augment.rotate"
        )
    if not 0 <= offset < np.inf:
        raise ValueError(f"offset={offset} must not be negative; set augment.offset, e.g. 0.1")
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"{name}={share} must be within 0 and 1; set augment.{name}, e.g. 0.1")
    # strict=True: albumentations 2.0.8 only warns of an argument that it does not know.
    moves = A.Affine(
        rotate=(-rotate, rotate),
        scale=(1 - zoom, 1 + zoom),
        translate_percent=(-shift, shift),
        keep_ratio=True,
        p=affine if rotate or zoom or shift else 0.0,
        strict=True,
    )
    flips = [
        A.HorizontalFlip(p=horizontal_flip, strict=True),
        A.VerticalFlip(p=vertical_flip, strict=True),
    ]
    grey = [
        A.RandomGamma(gamma_limit=(80, 125), p=gamma, strict=True),
        A.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.0), p=blur, strict=True),
        A.GaussNoise(std_range=(0.0, 0.03), p=noise, strict=True),
    ]
    steps = [step for step in [*flips, moves, *grey] if step.p > 0]
    return Augmentation(A.Compose(steps), Levels(gain, offset, sequence_dropout))


def transform(
    augmentation: Augmentation,
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    key: tuple[int, ...],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Augment one slice with draws that depend on `key` alone.

    Args:
        augmentation: What `augment` built; its `pixels` are drawn.
        image: `[H, W, C]`.
        mask: `[H, W]`.
        key: Non-negative integers, here (seed, epoch, row).

    Returns:
        The augmented image and mask, in the shapes and types given.
    """
    generator = np.random.default_rng(key)
    # Compose.set_random_seed (2.0.8) gives every step a stream with the same seed, so that both
    # flips happen together or not at all; one shared stream keeps the steps independent.
    compose = augmentation.pixels
    compose.set_random_state(generator, random.Random(int(generator.integers(2**63))))
    out = compose(image=image, mask=mask)
    return out["image"], out["mask"]
