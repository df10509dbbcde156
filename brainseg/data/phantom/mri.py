"""A synthetic head as an MRI scanner sees it: pre-contrast T1, FLAIR and post-contrast T1.

Grey values were chosen by eye, and to be hard as the LGG scans are: faint tumours without a clear
border, bright spots that are none, scanners that differ.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from brainseg.data.phantom.anatomy import CSF, WHITE, Head, noise

__all__ = ["acquire"]

Images = NDArray[np.float32]  # [3, D, H, W]: pre, FLAIR, post

# In anatomy's order: air, scalp, bone, CSF, sulcus, grey, white, deep grey, face, vessel.
TISSUES = np.array(
    [
        [0.01, 0.78, 0.09, 0.13, 0.15, 0.34, 0.48, 0.41, 0.36, 0.25],
        [0.01, 0.60, 0.07, 0.08, 0.11, 0.41, 0.32, 0.37, 0.27, 0.12],
        [0.01, 0.74, 0.10, 0.15, 0.18, 0.38, 0.50, 0.44, 0.43, 0.85],
    ],
    dtype=np.float32,
)


def acquire(rng: np.random.Generator, head: Head, *, scanner: int) -> NDArray[np.uint8]:
    """Draw the images of a head, uint8 `[D, H, W, 3]` (pre, FLAIR, post).

    Args:
        rng: Where the patient's draws come from.
        head: The patient.
        scanner: Patients of one scanner share its sharpness, bias, noise and contrast.
    """
    images = TISSUES[:, head.labels]
    _add_spots(images, rng, head)
    _add_tumour(images, rng, head)
    return _scan(images, rng, np.random.default_rng(scanner))


def _add_spots(images: Images, rng: np.random.Generator, head: Head) -> None:
    """Brighten FLAIR where it often is without tumour: caps of the ventricles, small foci."""
    white = head.labels == WHITE
    side = max(3, white.shape[-1] // 18)
    fluid = [cv2.blur(plane, (side, side)) for plane in (head.labels == CSF).astype(np.float32)]
    caps = white & (np.stack(fluid) > 0.25) & (head.rough > 0.6)
    foci = white & (head.grain > rng.uniform(1.7, 3.2))
    images[1][caps] += rng.uniform(0, 0.15)
    images[1][foci] += rng.uniform(0.08, 0.25)
    images[:, white] += 0.02 * head.rough[white]


def _add_tumour(images: Images, rng: np.random.Generator, head: Head) -> None:
    """Blend the tumour in: bright in FLAIR, darker in the others; at times a core, a bright rim."""
    contrast, edge = rng.uniform(0.12, 0.4), rng.uniform(0.1, 0.5)
    core, enhancing = rng.random() < 0.35, rng.random() < 0.3
    brain = head.mask | ((head.reach < 1.4) & (images[1] > 0.25))
    reach, folds = head.reach[brain], np.clip(head.folds[brain], -2, 2)
    strength = contrast * np.clip((1 - reach) / edge + 0.5, 0, 1) * (1 + 0.2 * folds)
    images[1][brain] += 0.9 * strength + 0.4 * strength * (0.36 - images[1][brain])
    images[0][brain] -= 0.4 * strength
    images[2][brain] -= 0.35 * strength
    inside = reach + 0.1 * folds
    if core:
        share = np.clip((0.5 - inside) / 0.1, 0, 1)
        for image, fluid in zip(images, (0.2, 0.22, 0.2), strict=True):
            image[brain] += share * (fluid - image[brain])
    if enhancing:
        images[2][brain] += 0.4 * np.exp(-(((inside - 0.55) / 0.08) ** 2))


def _scan(
    images: Images, rng: np.random.Generator, scanner: np.random.Generator
) -> NDArray[np.uint8]:
    """Add contrast, bias field, partial volume and Rician noise: uint8 `[D, H, W, 3]`."""
    blur, spread, noisy = scanner.uniform((0.5, 0.1, 0.008), (0.9, 0.22, 0.022)).tolist()
    gains = scanner.uniform(0.6, 1.1, 3) * rng.uniform(0.85, 1.15, 3)
    gammas = scanner.uniform(0.85, 1.2, 3) * rng.uniform(0.95, 1.05, 3)
    out = np.empty((*images.shape[1:], 3), np.uint8)
    for channel, (image, gain, gamma) in enumerate(
        zip(images, gains.tolist(), gammas.tolist(), strict=True)
    ):
        bias = 1 + spread * np.clip(noise(rng, image.shape, 2), -2, 2)
        bias *= 1 + 0.02 * rng.standard_normal((len(image), 1, 1), np.float32)
        signal = gain * bias * image.clip(0) ** gamma
        for plane in signal:
            cv2.GaussianBlur(plane, (0, 0), blur * image.shape[-1] / 128, dst=plane)
        real, imaginary = noisy * rng.standard_normal((2, *image.shape), np.float32)
        out[..., channel] = np.clip(255 * np.hypot(signal + real, imaginary), 0, 255)
    if rng.random() < 0.1:  # as in 1 of 10 LGG patients, a missing sequence is a copy of FLAIR
        out[..., rng.choice([0, 2])] = out[..., 1]
    return out
