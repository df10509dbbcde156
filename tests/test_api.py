"""The public names: what a script of one's own can do with `import brainseg`."""

import os
import subprocess
import sys
from pathlib import Path

import lightning
import nibabel as nib
import numpy as np
import pytest
import torch
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


def test_what_the_interface_does_not_know_is_said() -> None:
    with pytest.raises(ValueError, match=r"sise must be among .*size.*batch_size"):
        brainseg.LGG("x", sise=32)
    with pytest.raises(ValueError, match="norm=gruop is unknown; the choices are batch"):
        brainseg.UNet(3, 1, norm="gruop")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        brainseg.load("nowhere")
