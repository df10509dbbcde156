"""Every question about the machine: which device, precision, workers, memory.

Asked with the accelerator that a cell trains on, `cpu` or `gpu`: a machine that has a GPU tells a
cell that trains on its CPU nothing of it, and makes no CUDA context for it. Torch is imported where
it is needed: the process that owns a sweep asks too, and has none.
"""

import ctypes
import math
import os
import platform
import resource
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainseg import cores

if TYPE_CHECKING:
    import torch

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # malloc.h


def resolve(trainer: Mapping[str, Any]) -> dict[str, str]:
    """What a `trainer` configuration means on this machine: `{accelerator, precision}`.

    Precision `auto` is bf16-mixed on a GPU or CPU that has bf16 natively (a CPU: AVX512-BF16 or
    AMX), else 16-mixed on a GPU and 32-true on a CPU.

    Raises:
        ValueError: a GPU is asked for and there is none, or the device has no such precision.
    """
    import torch

    accelerator, precision = trainer["accelerator"], trainer["precision"]
    if accelerator not in ("auto", "cpu", "gpu"):
        raise ValueError(
            f"trainer.accelerator={accelerator} must be auto, cpu or gpu (CUDA); "
            "set trainer.accelerator=... to one"
        )
    if accelerator == "auto":
        accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ValueError("gpu needs a CUDA GPU and torch finds none; use cpu (trainer=cpu)")
    if precision == "auto":
        precision = _native(accelerator)
    if precision not in PRECISIONS or (precision, accelerator) == ("16-mixed", "cpu"):
        raise ValueError(
            f"trainer.precision={precision} must be auto, {', '.join(PRECISIONS)} (the last on a "
            "GPU alone); set trainer.precision=... to one"
        )
    return {"accelerator": accelerator, "precision": precision}


def on_this_machine(trainer: Mapping[str, Any]) -> dict[str, str]:
    """As `resolve`, for a trained cell: on the CPU where its GPU is not here."""
    import torch

    if trainer["accelerator"] != "gpu" or torch.cuda.is_available():
        return resolve(trainer)
    precision = trainer["precision"]
    # float16 is slow on a CPU, and nothing is trained here that would need its speed
    own = "32-true" if precision == "16-mixed" else precision
    return resolve({"accelerator": "cpu", "precision": own})


def device(accelerator: str) -> "torch.device":
    """The one device that a cell trains on; `CUDA_VISIBLE_DEVICES` says which card is the first."""
    import torch

    return torch.device("cuda" if accelerator == "gpu" else "cpu")


def autocast(where: "torch.device", precision: str) -> AbstractContextManager[Any]:
    """The precision to predict in, as Lightning's `forward_context` has it."""
    import torch

    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    return torch.autocast(where.type, dtype) if dtype else nullcontext()


def use(share: int | None, card: str | None) -> None:
    """Leave the rest of the machine to other cells; before this process asks anything of CUDA.

    Args:
        share: cores for torch's threads and the loader's processes; None for all.
        card: the GPU, as CUDA_VISIBLE_DEVICES names it; None leaves that as it is.
    """
    if share is not None:
        cores.share(share)
    if card is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = card


def use_threads(before: int | None = None) -> str:
    """Set how many threads torch computes with; what was chosen and why, for the log.

    Another number of threads adds up in another order, and so gives other bits: a run keeps the
    number that it began with, wherever it is resumed.

    Args:
        before: threads that the run began with; None for as many as `cores.threads`.
    """
    import torch

    number, why = cores.threads()
    if before is not None and before != number:
        number, why = before, f"as it began; here {number}: {why}"
    torch.set_num_threads(number)
    return f"{number} thread{'s' if number > 1 else ''} ({why})"


def cards() -> list[str]:
    """The GPUs that may be used, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    found = torch.cuda.device_count()
    return named[:found] if named != [""] else [str(number) for number in range(found)]


def free_memory() -> float:
    """Host memory in MB that new processes may take; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # macOS
        return math.inf
    kilobytes = {key: int(rest.split()[0]) for key, _, rest in (x.partition(":") for x in lines)}
    return kilobytes["MemAvailable"] / 2**10


def workers(asked: int | str, accelerator: str) -> int:
    """Processes that load data: `auto` is 0 on a CPU, else one a core and at most 8."""
    if asked != "auto":
        return int(asked)
    return min(8, cores.cores()) if accelerator == "gpu" else 0


def describe(accelerator: str) -> dict[str, Any]:
    """Name of the GPU, else what CPU and how many cores; threads that torch uses."""
    import torch

    gpu = torch.cuda.get_device_name() if accelerator == "gpu" else None
    return {
        "device": gpu or f"{platform.machine()} CPU, {cores.cores()} cores",
        "platform": platform.system(),
        "torch_threads": torch.get_num_threads(),
    }


def peak_memory(accelerator: str) -> dict[str, float]:
    """Highest memory of this process so far, in MB: resident on the host, reserved on the GPU.

    Reserved is what torch took from the card, which is what must fit beside CUDA's own context.
    """
    import torch

    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB on Linux
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    gpu = torch.cuda.max_memory_reserved() / 2**20 if accelerator == "gpu" else 0.0
    return {"host": round(host, 1), "gpu": round(gpu, 1)}


def keep_freed_memory(accelerator: str = "cpu") -> bool:
    """Keep freed host memory for the next allocation, instead of giving it back to the system.

    A training step on a CPU frees its activations, and glibc hands large ones back at once: the
    next step gets them as new pages, which the system must clear and map one by one. What is
    computed does not change. False, and nothing done, where the C library is not glibc or the
    activations are on a GPU.
    """
    if accelerator != "cpu" or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # no block as a mapping of its own, and the heap is never trimmed
    return bool(mallopt(MMAP_MAX, 0) == 1 and mallopt(TRIM_THRESHOLD, -1) == 1)


def _native(accelerator: str) -> str:
    import torch

    if accelerator == "gpu":
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if bf16 else "16-mixed"
    bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if bf16 else "32-true"
