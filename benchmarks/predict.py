"""A mask for a new volume: the command's own work beside forward passes, and beside MONAI's."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from benchmarks.row import Row, at_least, at_most
from benchmarks.scale import Scale
from brainseg.predict import report
from brainseg.predict.cases import Finder
from brainseg.predict.features import unlike
from brainseg.predict.load import load
from brainseg.predict.segmenter import Segmenter

SEQUENCES = ("flair", "pre", "post")
MEMORY = 1500.0  # MB
STATUS = Path("/proc/self/status")  # on Linux alone
_PEAK = f"print(next(x for x in open('{STATUS}') if 'VmHWM' in x).split()[1])"
_PEAK = _PEAK if STATUS.exists() else "print(0)"
COMMAND = f"from brainseg.predict.__main__ import main; main(); {_PEAK}"
TORCH = f"import torch; {_PEAK}"


def rows(scale: Scale) -> Iterator[Row]:
    """Time and memory of one volume of three sequences, and the time to a first mask."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            each: _write(folder / f"x_{each}.nii.gz", scale.volume, seed)
            for seed, each in enumerate(SEQUENCES)
        }
        segmenter = replace(load(), tta=False)  # as the others
        contenders = (_ours, _bare, _monai)
        taken = [
            [_timed(each, segmenter, files, folder) for each in contenders]
            for _ in range(1 + min(scale.rounds, 7))
        ][1:]
        ours, bare, monai = zip(*taken, strict=True)
        shape = "x".join(map(str, scale.volume))
        what = f"a mask for {shape}, three sequences"
        yield Row(what, "forward passes, reading, writing", "s", ours, bare, at_most(1.2))
        yield Row(f"MONAI's for {shape}, the same network", "ours", "s", monai, ours, at_least(1))
        words = [f"--{key}={path}" for key, path in files.items()]
        memory = _command(folder, "memory", *words)[1]
        what = "memory of the command on it"
        if memory:
            yield Row(what, "limit", "MB", [memory], [MEMORY], at_most(1))
        else:
            yield Row(what, "limit", skipped="read from /proc on Linux alone")
        picture = folder / "slice.png"
        Image.fromarray(_volume((64, 64, 1))[..., 0].astype(np.uint8)).save(picture)
        first, torch_alone = [], []
        for turn in range(scale.starts + 1):
            first.append(_command(folder, f"first{turn}", str(picture))[0])
            torch_alone.append(_run([sys.executable, "-c", TORCH], folder)[0])
        yield Row(
            "start to the first mask", "import torch", "s", first[1:], torch_alone[1:], at_most(1.5)
        )


def _timed(
    contender: Callable[[Segmenter, dict[str, Path], Path], None],
    segmenter: Segmenter,
    files: dict[str, Path],
    folder: Path,
) -> float:
    start = time.perf_counter()
    contender(segmenter, files, folder)
    return time.perf_counter() - start


def _ours(segmenter: Segmenter, files: dict[str, Path], folder: Path) -> None:
    case = Finder().by_sequence(files)
    scan = case.read()
    scan.notes.extend(unlike(scan, segmenter.known))
    mask = segmenter.mask(segmenter.probabilities(scan), segmenter.cut(scan))
    scan.write(mask[0], folder / "ours", "mask")
    report.measure(scan, mask, segmenter.used(), segmenter.regions)


def _bare(segmenter: Segmenter, files: dict[str, Path], folder: Path) -> None:
    """What nobody can do without."""
    images: list[Any] = [nib.load(path) for path in files.values()]
    values = [np.asanyarray(image.dataobj) for image in images]
    (model,) = segmenter.models
    size = segmenter.preprocessing.pixels
    batch = torch.rand(model.batch_size, len(SEQUENCES), size, size)
    left = values[0].shape[2]
    while left > 0:
        model.probabilities(batch[:left], [()])
        left -= len(batch)
    mask = (values[0] > 900).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, images[0].affine), folder / "bare.nii.gz")


def _monai(segmenter: Segmenter, files: dict[str, Path], folder: Path) -> None:
    """The same network by MONAI's own transforms and inferer."""
    from monai import transforms as T
    from monai.inferers import SliceInferer

    (model,) = segmenter.models
    size = segmenter.preprocessing.pixels
    keys = list(files)
    prepared = T.Compose(
        [
            T.LoadImaged(keys, ensure_channel_first=True),
            T.ConcatItemsd(keys, name="image"),
            T.NormalizeIntensityd("image", nonzero=True, channel_wise=True),
            T.Resized("image", (size, size, -1), mode="trilinear"),
        ]
    )(files)
    image = prepared["image"]
    inferer = SliceInferer(spatial_dim=2, roi_size=(size, size), sw_batch_size=model.batch_size)
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, model.precision != "32-true"),
    ):
        logits = inferer(image[None].as_tensor(), model.module)[0].float()
    shape = prepared["flair"].shape[1:]
    mask = T.Resize(shape, mode="trilinear")(logits) > 0
    nib.save(
        nib.Nifti1Image(mask[0].numpy().astype(np.uint8), prepared["flair"].affine.numpy()),
        folder / "monai.nii.gz",
    )


def _command(folder: Path, out: str, *words: str) -> tuple[float, float]:
    return _run([sys.executable, "-c", COMMAND, *words, "--out", str(folder / out)], folder)


def _run(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds, and the highest memory in MB; it says that itself, else its parent's counts."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return taken, float(done.stdout.split()[-1]) / 2**10


def _volume(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """A bright ball in a noisy head, 0 around it."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, shape), 1)
    head = (axes[0] ** 2 + axes[1] ** 2 < 0.7) * (500 + 300 * noise)
    head[(axes[0] - 0.3) ** 2 + axes[1] ** 2 + axes[2] ** 2 < 0.05] += 800
    return np.asarray(head.clip(0, 4095).astype(np.int16))


def _write(path: Path, shape: tuple[int, int, int], seed: int) -> Path:
    nib.save(nib.Nifti1Image(_volume(shape, seed), np.eye(4)), path)
    return path
