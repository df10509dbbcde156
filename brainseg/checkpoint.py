"""Checkpoint files: written whole, read as tensors and plain containers only."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn


class WholeFileIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a kill never leaves half.

    Lightning 2.6 writes into the system's temporary folder first, and copies where that is another
    file system.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write one checkpoint.

        Raises:
            OSError: it could not be written; the one before is kept.
        """
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.part")
        try:
            torch.save(checkpoint, partial)
            partial.replace(place)
        except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into the latter
            partial.unlink(missing_ok=True)
            raise OSError(
                f"{place} could not be written ({str(error).splitlines()[0]}); "
                "the checkpoint before is kept; free space on its disk"
            ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint file, on the CPU, read with `weights_only=True`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no brainseg configuration.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give the folder of a finished run")
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if "config" not in checkpoint:
        raise ValueError(f"{path} holds no configuration; give a checkpoint made by brainseg")
    return checkpoint


def load_weights(module: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Fill a module's network from a checkpoint."""
    module.load_state_dict(checkpoint["state_dict"], strict=True)
