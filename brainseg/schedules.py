"""Learning-rate schedules: (optimizer, epochs, steps per epoch) to what Lightning steps."""

from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LambdaLR,
    OneCycleLR,
    ReduceLROnPlateau,
)

from brainseg.epochs import stable_epochs


def constant(optimizer: Optimizer, *, epochs: int, steps: int) -> LRSchedulerConfigType:
    """`optimizer.lr` throughout."""
    return {"scheduler": ConstantLR(optimizer, factor=1.0, total_iters=0), "interval": "epoch"}


def stable_decay(
    optimizer: Optimizer, *, epochs: int, steps: int, warmup: float = 1.0, decay: float = 0.3
) -> LRSchedulerConfigType:
    """Up to `optimizer.lr`, and 1 - sqrt of the way down to 0 at the end (Haegele et al. 2024).

    Until it decays the rate does not depend on `epochs`, so that a longer training may continue.

    Args:
        optimizer: its `lr` is the rate before.
        epochs: passes over the training slices.
        steps: optimizer steps an epoch.
        warmup: epochs in which the rate rises, step by step.
        decay: share of the epochs in which it decays, rounded up to whole ones.
    """
    begin, end = stable_epochs(epochs, decay) * steps, epochs * steps

    def factor(step: int) -> float:
        risen = min(1.0, (step + 1) / (warmup * steps + 1))
        return float(risen * (1 - min(1.0, max(0.0, (step - begin) / (end - begin))) ** 0.5))

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def cosine(
    optimizer: Optimizer, *, epochs: int, steps: int, final: float = 0.0
) -> LRSchedulerConfigType:
    """Half a cosine from `optimizer.lr` to `final` times it (Loshchilov & Hutter 2017, eq. 5)."""
    floor = optimizer.defaults["lr"] * final
    return {"scheduler": CosineAnnealingLR(optimizer, epochs, floor), "interval": "epoch"}


def onecycle(
    optimizer: Optimizer, *, epochs: int, steps: int, warmup: float = 0.3
) -> LRSchedulerConfigType:
    """Up to `optimizer.lr` and down again, step by step (Smith & Topin 2018).

    Args:
        optimizer: its `lr` is the highest rate.
        epochs: passes over the training slices.
        steps: optimizer steps an epoch.
        warmup: share of all steps in which the rate rises.
    """
    schedule = OneCycleLR(
        optimizer, optimizer.defaults["lr"], total_steps=epochs * steps, pct_start=warmup
    )
    return {"scheduler": schedule, "interval": "step"}


def plateau(
    optimizer: Optimizer, *, epochs: int, steps: int, factor: float = 0.5, patience: int = 5
) -> LRSchedulerConfigType:
    """Times `factor` after `patience` epochs without a better `val/dice`.

    Lightning 2.6 steps a plateau schedule after the checkpoint is saved and not again on resume,
    so a resumed run would never reduce. The module steps it at the end of validation; the
    frequency keeps Lightning's own step away.
    """
    schedule = ReduceLROnPlateau(optimizer, mode="max", factor=factor, patience=patience)
    return {
        "scheduler": schedule,
        "interval": "epoch",
        "monitor": "val/dice",
        "frequency": 2**62,
    }
