"""A training step fed from the real data path, against one on ready tensors."""

from collections.abc import Iterator
from itertools import islice

from torch.utils.data import DataLoader

from benchmarks.inputs import configure, device
from benchmarks.interleave import interleave
from benchmarks.loops import OurLoop, warm_up
from benchmarks.row import Row, at_least
from benchmarks.scale import Scale
from brainseg.data.dataset import scaled
from brainseg.training.build import build


def rows(scale: Scale) -> Iterator[Row]:
    """Cache, augmentation and sampler against batches in memory, for the smallest network."""
    case = scale.cases[-1]
    config = configure(case)
    data, module = build(config)
    loader = data.train_dataloader()
    count = min(case.steps, len(loader) - warm_up())
    batches = [
        scaled({key: value.to(device()) for key, value in batch.items()})
        for batch in islice(loader, warm_up() + count)
    ]
    ready = DataLoader(batches, batch_size=None)  # type: ignore[var-annotated, arg-type]
    contenders = {
        "fed": OurLoop(config, module, loader, steps=count),
        "ready": OurLoop(config, module, ready, steps=count),
    }
    values = interleave(contenders, case.rounds, case.seconds)
    what = f"step, {case}: fed from the cache, augmented, {data.workers} workers"
    yield Row(what, "ready tensors", "slices/s", values["fed"], values["ready"], at_least(0.95))
