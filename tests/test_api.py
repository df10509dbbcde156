"""The public names: what a script of one's own can do with `import brainseg`."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import brainseg
from brainseg.config import instantiate
from brainseg.predict.__main__ import main
from brainseg.training.fit import fit
from tests.conftest import tiny_cell, tiny_config
from tests.predict.conftest import head, write_nifti


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> brainseg.Segmenter:
    cell = tiny_cell(tmp_path_factory.mktemp("api") / "run", "epochs=8", "optimizer.lr=3e-3")
    fit(cell, title="run")
    return brainseg.load(cell.folder)


def test_importing_the_package_brings_no_torch(tmp_path: Path) -> None:
    code = "import brainseg, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ, check=False)
    assert done.returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'Unet'"):
        _ = brainseg.Unet


def test_loading_weights_brings_no_lightning_and_no_hydra(tmp_path: Path) -> None:
    code = "import brainseg, sys; brainseg.load(); print({'lightning', 'hydra'} & set(sys.modules))"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=tmp_path, env=os.environ, capture_output=True, check=True)
    assert done.stdout == b"set()\n"


def test_every_public_name_is_documented() -> None:
    assert all(getattr(brainseg, name).__doc__ for name in brainseg.__all__)


def test_a_mask_has_the_height_and_width_of_its_image(segmenter: brainseg.Segmenter) -> None:
    volume = head(4)
    three = np.stack([volume, volume, volume[:, ::-1]], 1)  # [D, C, H, W]
    for image, shape in (
        (volume[0], (40, 36)),
        (three[0], (40, 36)),
        (volume[:1], (40, 36)),
        (three, (4, 40, 36)),
        (volume[:, None], (4, 40, 36)),
    ):
        mask = segmenter(image)
        assert (mask.dtype, mask.shape) == (bool, shape)
        same = segmenter(torch.from_numpy(image.copy()))
        assert torch.equal(same, torch.from_numpy(mask))
    assert not segmenter(volume[0], threshold=0.999999).any()


def test_a_path_gives_what_the_command_writes(
    segmenter: brainseg.Segmenter, tmp_path: Path
) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", head())
    (weights,) = segmenter.sources
    assert main([str(scan), "--weights", weights, "--out", str(tmp_path / "out")]) == 0
    written = np.asarray(nib.load(tmp_path / "out" / "scan_mask.nii.gz").dataobj)
    np.testing.assert_array_equal(segmenter(scan), written.astype(bool))
    Image.fromarray((head(1)[0] / 4).astype(np.uint8)).save(tmp_path / "a.png")
    assert segmenter(str(tmp_path / "a.png")).shape == (1, 40, 36)


@pytest.mark.parametrize("shape", [(5,), (2, 40, 36), (4, 2, 40, 36), (1, 1, 3, 40, 36)])
def test_another_shape_is_refused_by_its_numbers(
    shape: tuple[int, ...], segmenter: brainseg.Segmenter
) -> None:
    with pytest.raises(ValueError, match=r"must be .* with C 1 or 3: pre, flair, post"):
        segmenter(np.zeros(shape))


def test_a_loop_of_ones_own_trains_and_scores_by_patient(tmp_path: Path) -> None:
    phantoms = instantiate(tiny_config()["data"])
    phantoms.prepare()
    root = phantoms.reader.find(None).root  # in the layout of LGG
    data = brainseg.LGG(root, size=32, batch_size=4, cache_dir=tmp_path)
    net = brainseg.UNet(3, 1, norm="group", width=16, depth=2)
    module = brainseg.Segmentation(net, loss="dice")
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    assert 0 <= float(trainer.callback_metrics["val/dice"]) <= 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: brainseg.LGG("x", sise=32), r"sise must be one of .*size.*batch_size"),
        (lambda: brainseg.LGG("x", reader="x"), "reader must be one of"),
        (lambda: brainseg.LGG("x", size="x"), "data.size='x' must be a whole number or a number"),
        (lambda: brainseg.LGG("x", workers=2.5), "workers=2.5 must be auto or a whole number"),
        (lambda: brainseg.LGG("x", slices="head"), "data.slices=head; must be all or brain"),
        (lambda: brainseg.UNet(3, 1, norm="gruop"), "norm=gruop is unknown; the choices are batch"),
        (lambda: brainseg.Segmentation(torch.nn.Identity(), "dise"), "loss=dise must be one of"),
        (lambda: brainseg.Segmentation(torch.nn.Identity(), lr=0), "lr=0 must be a number above"),
        (lambda: brainseg.load(device="tpu"), "device=tpu must be auto, cpu, or gpu"),
    ],
)
def test_what_the_interface_does_not_know_is_said(
    wrong: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_path_that_is_not_there_is_said() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        brainseg.load("nowhere")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 3, 40, 36)), r"shape \(0, 3, 40, 36\) must be"),
        (head(1)[0].astype(complex), "1440 values of complex128; give real numbers"),
        (np.array([["a", "b"]]), "2 values of <U1; give real numbers"),
        (head(1)[0] * 1e-300, "values from .* in other units"),
        (np.full((40, 36), np.nan), "not finite"),
    ],
)
def test_an_image_that_is_none_is_refused(
    image: NDArray[Any], message: str, segmenter: brainseg.Segmenter
) -> None:
    with pytest.raises(ValueError, match=message):
        segmenter(image)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(
    threshold: float, segmenter: brainseg.Segmenter
) -> None:
    with pytest.raises(ValueError, match="must be within 0 and 1"):
        segmenter(head(1)[0], threshold=threshold)


def test_a_tensor_of_bfloat16_is_segmented(segmenter: brainseg.Segmenter) -> None:
    image = torch.from_numpy(head(1)[0]).bfloat16()
    assert torch.equal(segmenter(image), segmenter(image.float()))
