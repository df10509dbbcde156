"""The public interface for people with their own loop: `import brainseg`, then these names.

Nothing here prints, exits, or changes global state; what is wrong is one line, a `ValueError` (or
`FileNotFoundError`, for a path that is not there).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import OmegaConf
from torch import cuda, nn

from brainseg import hardware
from brainseg.config import CONF, check_types, compose, instantiate
from brainseg.models.unet import UNet
from brainseg.predict.load import load as _load
from brainseg.predict.segmenter import Segmenter
from brainseg.values import check

if TYPE_CHECKING:
    from brainseg.data.datamodule import SegmentationDataModule
    from brainseg.module import SegmentationModule

__all__ = ["LGG", "Segmentation", "Segmenter", "UNet", "load"]

_LOADING = ("batch_size", "seed", "workers")


def load(weights: str | Path | Sequence[str | Path] = (), *, device: str = "auto") -> Segmenter:
    """Trained weights, ready to segment: `mask = brainseg.load()(image)`.

    Args:
        weights: a run folder, a checkpoint file, or a folder in the published form; of several
            the mean probability is taken. None are those that come along, trained on LGG.
        device: auto (a GPU where there is one), cpu, or gpu, also called cuda.

    Raises:
        FileNotFoundError: there is nothing at one of the paths.
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

    config = cast(dict[str, Any], OmegaConf.to_container(compose(["data=lgg"]), resolve=True))
    config["workers"] = 0
    data = config["data"] | ({} if root is None else {"root": str(root)})
    keys = [key for key in data if key not in ("_target_", "reader", "root")]
    if unknown := sorted(settings.keys() - {*keys, *_LOADING}):
        raise ValueError(f"{unknown[0]} must be one of {', '.join(keys)}, {', '.join(_LOADING)}")
    config |= {key: settings.pop(key) for key in _LOADING if key in settings}
    config["data"] = data | settings
    check_types(config)
    check(config)
    return SegmentationDataModule(
        instantiate(config["data"]),
        augment=instantiate(config["augment"]),
        split=instantiate(config["split"]),
        sampler=instantiate(config["sampler"]),
        batch_size=config["batch_size"],
        workers=hardware.workers(config["workers"], "gpu" if cuda.is_available() else "cpu"),
        seed=config["seed"],
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
        ValueError: there is no such loss, or `lr` is no number above 0.
    """
    from brainseg.module import SegmentationModule  # brings Lightning

    losses = sorted(path.stem for path in (CONF / "loss").glob("*.yaml"))
    if loss not in losses:
        raise ValueError(f"loss={loss} must be one of {', '.join(losses)}")
    if not 0 < lr < math.inf:
        raise ValueError(f"lr={lr} must be a number above 0")
    config = compose([f"loss={loss}"])
    return SegmentationModule(
        net,
        instantiate(config.loss),
        optimizer=instantiate(config.optimizer, lr=lr),
        scheduler=instantiate(config.scheduler),
    )
