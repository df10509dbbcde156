"""Checkpoint files: written whole, read as tensors and plain containers only."""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

TO_PREDICT = ("state_dict", "config", "preprocessing", "epoch", "pytorch-lightning_version")


class WholeFileIO(TorchCheckpointIO):
    """Writes a checkpoint with `save_checkpoint`; of `best.ckpt` what predicting needs.

    Lightning 2.6 writes into the system's temporary folder first, and copies where that is another
    file system. Its own weights-only checkpoint asks no callback, and so would hold the weights as
    they are where callbacks average them.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write one checkpoint, whole; raises as `save_checkpoint`."""
        if Path(path).stem == "best":
            checkpoint = {key: checkpoint[key] for key in TO_PREDICT}
        save_checkpoint(checkpoint, Path(path))


class Checkpoint(ModelCheckpoint):
    """Lightning's, whose memory of the best epoch survives a move of the run folder.

    Lightning 2.6 forgets the best score where the folder is not the one that was saved.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what the saved run knew, with its files where they are now."""
        files = {key: self._here(value) for key, value in state_dict.items() if "path" in key}
        best = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        here = {"dirpath": self.dirpath, "best_k_models": best}
        super().load_state_dict(state_dict | files | here)

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath or "") / Path(path).name) if path else path


def save_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint beside its place and rename it, so that a kill never leaves half.

    Raises:
        OSError: it could not be written; the one before is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    try:
        with partial.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name without the content
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into the latter
        partial.unlink(missing_ok=True)
        raise OSError(
            f"{path} could not be written ({str(error).splitlines()[0]}); "
            "the checkpoint before is kept; free space on its disk"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint file, on the CPU, read with `weights_only=True`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, or holds no brainseg configuration.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give the folder of a finished run")
    try:
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of a broken pickle torch raises a dozen kinds
        raise ValueError(
            f"{path} is broken, or no checkpoint; move its run folder away to train anew"
        ) from error
    if not isinstance(checkpoint, dict) or "config" not in checkpoint:
        raise ValueError(f"{path} holds no configuration; give a checkpoint made by brainseg")
    return checkpoint


def digest(checkpoint: dict[str, Any]) -> str:
    """SHA-256 of a checkpoint's weights: the same for the same network, wherever it is scored."""
    found = hashlib.sha256()
    for name, value in sorted(checkpoint["state_dict"].items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def load_weights(module: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Fill a module's network from a checkpoint."""
    module.load_state_dict(checkpoint["state_dict"], strict=True)
