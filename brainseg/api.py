"""The public interface for people with their own loop: `import brainseg`, then these names.

Nothing here prints, exits, or changes global state; all raise `ValueError` in one line.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from brainseg.config import compose, instantiate
from brainseg.models.unet import UNet
from brainseg.predict.load import load as _load
from brainseg.predict.segmenter import Segmenter

if TYPE_CHECKING:
    from brainseg.data.datamodule import SegmentationDataModule
    from brainseg.module import SegmentationModule

__all__ = ["LGG", "Segmentation", "Segmenter", "UNet", "load"]


def load(weights: str | Path | Sequence[str | Path] = (), *, device: str = "auto") -> Segmenter:
    """Trained weights, ready to segment: `mask = brainseg.load()(image)`.

    Args:
        weights: a run folder, a checkpoint file, or a folder in the published form; of several
            the mean probability is taken. None are those that come along, trained on LGG.
        device: auto (a GPU where there is one), cpu, or gpu, also called cuda.

    Raises:
        ValueError: it is none of these, or is broken; or there is no such device.
    """
    each = [weights] if isinstance(weights, str | Path) else weights
    return _load([Path(path) for path in each], device=device)


def LGG(root: str | Path | None = None, **settings: Any) -> "SegmentationDataModule":  # noqa: N802
    """The LGG scans as a LightningDataModule, split by patient.

    Args:
        root: where they lie; None is BRAINSEG_DATA, else they are downloaded.
        settings: keys of `data` (`size=128`, `crop=True`), and `batch_size`, `seed`, `workers`.

    Raises:
        ValueError: a key is none of these, or a value is out of its range.
    """
    from brainseg.data.datamodule import SegmentationDataModule  # brings Lightning

    config = compose(["data=lgg"])
    own = {key: settings.pop(key) for key in ("batch_size", "seed", "workers") if key in settings}
    if unknown := settings.keys() - config.data.keys():
        raise ValueError(
            f"{', '.join(sorted(unknown))} must be among {', '.join(config.data)}, batch_size, "
            "seed, workers"
        )
    given = {} if root is None else {"root": str(root)}
    config.data.root = None if given else config.data.root
    return SegmentationDataModule(
        instantiate(config.data, **settings, **given),
        augment=instantiate(config.augment),
        split=instantiate(config.split),
        sampler=instantiate(config.sampler),
        **{"batch_size": config.batch_size, "seed": config.seed, **own},
    )


def Segmentation(  # noqa: N802
    net: nn.Module, loss: str = "bce_dice", *, lr: float = 1e-3
) -> "SegmentationModule":
    """A LightningModule that trains a network and scores every epoch by patient.

    Args:
        net: images [B, C, H, W] to logits [B, K, H, W], such as `UNet(3, norm="group")`.
        loss: an option of `conf/loss`: bce, dice, iou, bce_dice, tversky, focal.
        lr: learning rate of Adam.

    Raises:
        hydra.errors.HydraException: there is no such loss.
    """
    from brainseg.module import SegmentationModule  # brings Lightning

    config = compose([f"loss={loss}"])
    return SegmentationModule(
        net,
        instantiate(config.loss),
        optimizer=instantiate(config.optimizer, lr=lr),
        scheduler=instantiate(config.scheduler),
    )
