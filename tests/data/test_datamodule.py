import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from brainseg.data.cache import Scans
from brainseg.data.datamodule import PARTS, SegmentationDataModule
from brainseg.data.dataset import SliceDataset, scaled
from brainseg.data.phantom import Phantom
from brainseg.data.sampler import TumourSampler, UniformSampler
from brainseg.data.split import Split, patient_split, slice_split
from brainseg.data.transforms import augment

SIZE = 32


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Scans:
    folder = tmp_path_factory.mktemp("scans")
    scans = Scans(
        Phantom(patients=8, slices=(4, 7), size=SIZE),
        root=folder,
        size=SIZE,
        intensity="zscore",
        cache_dir=folder / "cache",
    )
    scans.prepare()
    return scans


def datamodule(scans: Scans, **changes: Any) -> SegmentationDataModule:
    data = SegmentationDataModule(
        scans,
        **{
            "augment": augment(),
            "split": patient_split,
            "sampler": UniformSampler,
            "batch_size": 4,
        }
        | changes,
    )
    data.setup()
    return data


def epoch_of(data: SegmentationDataModule, *epochs: int) -> list[dict[str, Tensor]]:
    """The training batches of some epochs."""
    loader = data.train_dataloader()
    batches: list[Any] = []
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        batches += map(scaled, loader)
    return batches


def same(first: list[dict[str, Tensor]], second: list[dict[str, Tensor]]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a[key], b[key]) for a, b in zip(first, second, strict=True) for key in a
    )


def by_row(batches: list[dict[str, Tensor]]) -> dict[int, Tensor]:
    return {
        int(row): image
        for batch in batches
        for row, image in zip(batch["row"], batch["image"], strict=True)
    }


def test_constructor_touches_no_disk(tmp_path: Path) -> None:
    SegmentationDataModule(
        Scans(Phantom(), root=tmp_path / "none", cache_dir=tmp_path / "none"),
        augment=augment(),
        split=patient_split,
        sampler=UniformSampler,
    )
    assert not list(tmp_path.iterdir())


def test_slices_have_the_promised_shapes_types_and_values(scans: Scans) -> None:
    batch = epoch_of(datamodule(scans), 0)[0]
    assert batch["image"].shape == (4, 3, SIZE, SIZE)
    assert batch["mask"].shape == (4, 1, SIZE, SIZE)
    assert batch["image"].dtype == batch["mask"].dtype == torch.float32
    assert batch["patient"].dtype == batch["row"].dtype == torch.int64
    assert batch["image"].is_contiguous()
    assert torch.isin(batch["mask"], torch.tensor([0.0, 1.0])).all()


def test_patient_counts_in_patients(scans: Scans) -> None:
    data = datamodule(scans)
    assert data.patients == sorted(set(scans.index["patient"]))
    for batch in data.loader("train"):
        for patient, row in zip(batch["patient"], batch["row"], strict=True):
            assert data.patients[patient] == scans.index["patient"][int(row)]


def test_no_patient_is_on_two_sides(scans: Scans) -> None:
    data = datamodule(scans)
    names = [name for part in PARTS for name in data.members[part]]
    assert sorted(names) == data.patients
    for part in PARTS:
        rows = getattr(data.split, part)
        assert data.members[part] == sorted(set(scans.index["patient"].iloc[rows]))


def test_split_that_shares_a_patient_is_refused(scans: Scans) -> None:
    def careless(index: Any) -> Split:
        split = slice_split(index)
        return Split(split.train, split.val, split.test)

    with pytest.raises(ValueError, match=r"must not be in both train and val; use split=patient"):
        datamodule(scans, split=careless)


def test_a_training_set_without_tumour_is_refused(scans: Scans) -> None:
    def healthy(index: Any) -> Split:
        rows = np.flatnonzero(index["tumour"] == 0)
        rest = np.flatnonzero(index["tumour"] > 0)
        return Split(rows, rest[:2], rest[2:], leaky=True)

    with pytest.raises(ValueError, match=r"training slices has tumour.*data\.root"):
        datamodule(scans, split=healthy, batch_size=1)


def test_slice_split_is_let_through_and_called_leaky(
    scans: Scans, caplog: pytest.LogCaptureFixture
) -> None:
    assert datamodule(scans, split=slice_split).split.leaky
    assert "LEAKY" in caplog.text


def test_training_images_change_between_epochs_and_repeat_between_runs(scans: Scans) -> None:
    first = epoch_of(datamodule(scans), 0, 1)
    assert same(first, epoch_of(datamodule(scans), 0, 1))
    half = len(first) // 2
    zero, one = by_row(first[:half]), by_row(first[half:])
    assert zero.keys() == one.keys()
    changed = [not torch.equal(zero[row], one[row]) for row in zero]
    assert np.mean(changed) > 0.7
    assert not same(first, epoch_of(datamodule(scans, seed=1), 0, 1))


@pytest.mark.parametrize("intensity", ["zscore", "unit"])
def test_loaders_move_bytes_which_are_scaled_to_the_same_bits(scans: Scans, intensity: str) -> None:
    scans.preprocessing = replace(scans.preprocessing, intensity=intensity)
    batch = next(iter(datamodule(scans).loader("val")))
    assert batch["image"].dtype == batch["mask"].dtype == torch.uint8
    expected = np.stack([scans.image(int(row)) for row in batch["row"]])
    assert np.array_equal(scaled(batch)["image"].numpy(), expected)


def test_an_epoch_does_not_depend_on_those_before_it(scans: Scans) -> None:
    for sampler in (UniformSampler, partial(TumourSampler, share=0.5)):
        whole = epoch_of(datamodule(scans, sampler=sampler), 0, 1, 2)
        resumed = epoch_of(datamodule(scans, sampler=sampler), 2)
        assert same(whole[-len(resumed) :], resumed)


# Python 3.12 warns of every fork under threads (gh-100228); the workers use none of them.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_results_do_not_depend_on_the_number_of_workers(scans: Scans) -> None:
    alone, helped = datamodule(scans), datamodule(scans, workers=2)
    assert same(epoch_of(alone, 0, 1), epoch_of(helped, 0, 1))
    assert same(list(alone.val_dataloader()), list(helped.val_dataloader()))


def test_scored_slices_are_never_changed_and_come_in_order(scans: Scans) -> None:
    data = datamodule(scans, augment=augment(horizontal_flip=1))
    for part in PARTS:
        batches: list[Any] = [scaled(b) for _ in range(2) for b in data.loader(part)]
        rows = torch.cat([batch["row"] for batch in batches]).numpy()
        assert np.array_equal(rows, np.tile(getattr(data.split, part), 2))
        images = torch.cat([batch["image"] for batch in batches]).numpy()
        masks = torch.cat([batch["mask"] for batch in batches]).numpy()
        assert np.array_equal(images, np.stack([scans.image(row) for row in rows]))
        assert np.array_equal(masks[:, 0], scans.masks[rows])


def test_augmentation_reaches_training_images_and_masks(scans: Scans) -> None:
    flips = augment(horizontal_flip=1, vertical_flip=0, affine=0)
    for batch in epoch_of(datamodule(scans, augment=flips), 0):
        for image, mask, row in zip(batch["image"], batch["mask"], batch["row"], strict=True):
            assert np.array_equal(image.flip(-1), scans.image(int(row)))
            assert np.array_equal(mask[0].flip(-1), scans.masks[int(row)])


def test_no_training_slice_is_dropped_at_an_epochs_end(scans: Scans) -> None:
    data = datamodule(scans)
    assert len(data.split.train) % 4
    rows = torch.cat([batch["row"] for batch in epoch_of(data, 0)])
    assert sorted(rows.tolist()) == data.split.train.tolist()


def test_tumour_sampler_is_told_which_slices_have_tumour(scans: Scans) -> None:
    data = datamodule(scans, sampler=partial(TumourSampler, share=1.0))
    rows = torch.cat([batch["row"] for batch in epoch_of(data, 0)]).numpy()
    assert (scans.index["tumour"].to_numpy()[rows] > 0).all()
    assert len(rows) == len(data.split.train)


def test_loading_draws_nothing_from_the_stream_of_dropout(scans: Scans) -> None:
    before = torch.get_rng_state()
    data = datamodule(scans)
    epoch_of(data, 0, 1)
    list(data.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_dataset_pickles_without_its_pixels(scans: Scans) -> None:
    data = datamodule(scans)
    dataset = SliceDataset(scans, data.split.train, patient=data.patient, augment=augment())
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 30_000 < scans.images.nbytes
    assert torch.equal(pickle.loads(pickled)[1, 2]["image"], dataset[1, 2]["image"])


class Recorder(L.LightningModule):
    """Keeps the slices of every training batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.batches: list[list[dict[str, Tensor]]] = []

    def on_train_epoch_start(self) -> None:
        self.batches.append([])

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        self.batches[-1].append(batch)
        return self.weight.sum()

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        assert set(batch) == {"image", "mask", "patient", "row"}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


# Lightning 2.6.6 uses what torch 2.14 deprecates (Lightning-AI/pytorch-lightning, _pytree.py:21).
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_lightning_tells_the_sampler_the_epoch(scans: Scans) -> None:
    module = Recorder()
    trainer = L.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(module, datamodule=datamodule(scans))
    for epoch, batches in enumerate(module.batches):
        assert same(batches, epoch_of(datamodule(scans), epoch))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"workers": -1}, "workers=-1 must not be negative"),
        ({"batch_size": 999}, r"batch_size=999 must not be above the \d\d training slices; set"),
    ],
)
def test_impossible_loading_is_refused(
    scans: Scans, arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        datamodule(scans, **arguments)
