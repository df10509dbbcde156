import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from brainseg import inference
from brainseg.data.cache import Scans
from brainseg.data.preprocessing import Preprocessing
from brainseg.evaluate.trained import Trained, open_run
from brainseg.hardware import autocast, on_this_machine
from brainseg.inference import Volume
from brainseg.runs.checkpoint import load_checkpoint
from brainseg.runs.folder import BEST
from brainseg.training.build import load_module


@pytest.fixture(scope="module")
def member(run: Path) -> tuple[Trained, Scans]:
    trained = open_run(run)
    return trained, trained.scans()


@pytest.fixture(scope="module")
def second(sibling: Path) -> tuple[Trained, Scans]:
    trained = open_run(sibling)
    return trained, trained.scans()


def context(trained: Trained) -> AbstractContextManager[Any]:
    return autocast(trained.module.device, trained.precision)


def volumes(
    members: Sequence[tuple[Trained, Scans]], rows: np.ndarray, *, tta: bool = False
) -> Iterator[Volume]:
    return inference.volumes([(run.model, scans) for run, scans in members], rows, tta=tta)


def rows_of(member: tuple[Trained, Scans], part: str) -> np.ndarray:
    trained, scans = member
    return np.flatnonzero(scans.index["patient"].isin(trained.members[part]))


def by_hand(folder: Path, member: tuple[Trained, Scans], rows: np.ndarray) -> np.ndarray:
    """Probabilities of slices, one at a time: 32 px in, 32 px out, so nothing is resized."""
    module, scans = load_module(folder / "checkpoints" / "best.ckpt"), member[1]
    with torch.inference_mode(), context(member[0]):
        each = [module(torch.from_numpy(scans.image(int(r)))[None]).float() for r in rows]
    return torch.cat(each).sigmoid()[:, 0].numpy()


def test_patients_come_one_by_one_with_their_slices(member: tuple[Trained, Scans]) -> None:
    index, rows = member[1].index, rows_of(member, "train")
    found = list(volumes([member], rows))
    expected = index.iloc[rows].groupby("patient")["slice"].apply(list)
    assert [each.patient for each in found] == expected.index.tolist()
    assert [each.numbers for each in found] == expected.tolist()
    for each in found:
        assert each.target.sum() == index.iloc[each.rows]["tumour"].sum()
        assert set(index.iloc[each.rows]["institution"]) == {each.institution}
        assert set(index.iloc[each.rows]["missing"]) == {each.missing}


def test_probabilities_are_the_networks(run: Path, member: tuple[Trained, Scans]) -> None:
    rows = rows_of(member, "test")
    found = np.concatenate([each.probs for each in volumes([member], rows)])
    np.testing.assert_allclose(found, by_hand(run, member, rows), atol=0.02)  # bf16 by batch size
    assert found.std() > 0.01


def test_an_ensemble_is_the_mean_probability(
    member: tuple[Trained, Scans], second: tuple[Trained, Scans]
) -> None:
    rows = rows_of(member, "test")
    one, two, both = (
        np.concatenate([each.probs for each in volumes(members, rows)])
        for members in ([member], [second], [member, second])
    )
    np.testing.assert_allclose(both, (one + two) / 2, atol=1e-6)
    assert np.abs(one - two).max() > 0.01


def test_flips_are_undone_and_averaged(member: tuple[Trained, Scans]) -> None:
    trained, scans = member
    rows = rows_of(member, "test")[:4]
    found = list(volumes([member], rows, tta=True))
    images = np.stack([scans.image(int(row)) for row in rows])
    undone = []
    for v, h in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        flipped = torch.from_numpy(images[:, :, ::v, ::h].copy())
        with torch.inference_mode(), context(trained):
            probs = trained.module(flipped).float().sigmoid().numpy()[:, 0]
        undone.append(probs[:, ::v, ::h])
    np.testing.assert_allclose(
        np.concatenate([volume.probs for volume in found]), np.mean(undone, axis=0), atol=1e-6
    )
    np.testing.assert_array_equal(np.concatenate([volume.plain for volume in found]), undone[0])


def test_a_network_that_does_not_mind_flips_gains_nothing(member: tuple[Trained, Scans]) -> None:
    trained, scans = member
    bright = torch.nn.Conv2d(3, 1, 1).requires_grad_(False)
    pixelwise = Trained(trained.folder, trained.config, bright, "32-true", trained.metrics)  # type: ignore[arg-type]
    bright.device = torch.device("cpu")  # type: ignore[assignment]
    for each in volumes([(pixelwise, scans)], rows_of(member, "test"), tta=True):
        np.testing.assert_allclose(each.probs, each.plain, atol=1e-6)


def test_no_more_is_predicted_than_the_first_patient_needs(
    member: tuple[Trained, Scans], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    whole = Scans.image
    monkeypatch.setattr(Scans, "image", lambda scans, row: (seen.append(row), whole(scans, row))[1])
    rows = rows_of(member, "train")
    first: Volume = next(volumes([member], rows))
    size = member[0].config["batch_size"]
    assert len(first.rows) <= len(seen) <= len(first.rows) + size < len(rows)


def test_batches_do_not_mix_patients_up(member: tuple[Trained, Scans]) -> None:
    trained, scans = member
    rows = rows_of(member, "test")
    sizes = (1, 3, 1000)
    found = []
    for size in sizes:
        config = trained.config | {"batch_size": size}
        other = Trained(trained.folder, config, trained.module, "32-true", trained.metrics)
        each = list(volumes([(other, scans)], rows))
        found.append(np.concatenate([volume.probs for volume in each]))
        assert [len(volume.probs) for volume in each] == pd.Series(
            scans.index["patient"].iloc[rows]
        ).value_counts(sort=False).tolist()
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    np.testing.assert_allclose(found[0], found[2], atol=1e-5)


@pytest.mark.parametrize(("trained", "here"), [("16-mixed", "32-true"), ("bf16-mixed",) * 2])
def test_a_run_of_a_gpu_is_scored_on_a_machine_without_one(
    trained: str, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = on_this_machine({"accelerator": "gpu", "precision": trained})
    assert found == {"accelerator": "cpu", "precision": here}


@pytest.mark.parametrize("tta", [False, True])
def test_a_scan_without_a_cache_and_a_mask_gets_the_probabilities_that_evaluate_gives(
    tta: bool, member: tuple[Trained, Scans], second: tuple[Trained, Scans]
) -> None:
    runs, scans = [member[0], second[0]], member[1]
    found = list(volumes([member, second], rows_of(member, "test"), tta=tta))
    patients = {each.name: each for each in scans.reader.find(scans.root)[0]}
    saved = load_checkpoint(runs[0].folder / BEST)["preprocessing"]
    for each in found:
        volume, *_ = scans.reader.read(patients[each.patient])
        models = [run.model for run in runs]
        new = inference.predict(models, volume, Preprocessing.from_state(saved), tta=tta)
        np.testing.assert_allclose(new[0], each.probs, atol=1e-5)
        assert new.shape == (1, *each.target.shape)


def test_a_checkpoint_prepared_in_an_unknown_way_is_refused(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    checkpoint = load_checkpoint(folder / BEST)
    checkpoint["preprocessing"]["version"] = 99
    torch.save(checkpoint, folder / BEST)
    with pytest.raises(ValueError, match=r"best\.ckpt cannot be used \(preprocessing version 99"):
        open_run(folder)
    del checkpoint["preprocessing"]  # up to ab2aa83
    torch.save(checkpoint, folder / BEST)
    assert open_run(folder).model.batch_size == open_run(run).model.batch_size


def test_an_error_of_our_own_is_not_called_a_broken_checkpoint(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise MemoryError("of this machine")

    monkeypatch.setattr("brainseg.evaluate.trained.load_module", broken)
    with pytest.raises(MemoryError):
        open_run(run)
