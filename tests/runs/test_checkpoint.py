from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from brainseg.runs.checkpoint import WholeFileIO


def test_a_checkpoint_that_cannot_be_written_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    WholeFileIO().save_checkpoint({"epoch": 1}, path)

    def full(checkpoint: Any, file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc] unexpected pos")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="free space") as error:
        WholeFileIO().save_checkpoint({"epoch": 2}, path)
    assert "\n" not in str(error.value)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]
