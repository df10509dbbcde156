import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from brainseg.config import compose, instantiate
from brainseg.data.lgg import LGG
from brainseg.data.phantom import Phantom
from brainseg.data.phantom.brats import BraTSPhantom


def small(**changes: int) -> Phantom:
    return Phantom(**{"patients": 3, "size": 32, "seed": 0} | changes, slices=(4, 7))


def volumes(phantom: Phantom) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for number in range(phantom.patients):
        _, images, masks = phantom.draw(number)
        yield images, masks


def files(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*.tif"))
    }


def test_phantoms_are_read_by_the_reader_of_lgg_as_they_were_drawn(tmp_path: Path) -> None:
    phantom = small()
    patients, problems = phantom.find(tmp_path)[:2]
    assert problems == []
    assert patients == LGG().find(next(tmp_path.iterdir()))[0]
    drawn = {name: (images, masks) for name, images, masks in map(phantom.draw, range(3))}
    assert sorted(drawn) == [patient.name for patient in patients]
    for patient in patients:
        images, masks, *_ = phantom.read(patient)
        assert np.array_equal(images, drawn[patient.name][0])
        assert np.array_equal(masks, drawn[patient.name][1])
        assert images.shape[1:] == (32, 32, len(phantom.modalities))


def test_phantoms_are_written_once(tmp_path: Path) -> None:
    small().find(tmp_path)
    before = files(tmp_path)
    small().find(tmp_path)
    assert files(tmp_path) == before


def test_without_root_phantoms_go_to_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAINSEG_CACHE", str(tmp_path))
    monkeypatch.setenv("BRAINSEG_DATA", "/nowhere")  # the scans' place is not the phantoms'
    patients = instantiate(compose(["data=phantom"]).data.reader, patients=1).find(None).patients
    assert patients[0].images[0].is_relative_to(tmp_path)


def test_seed_decides_everything() -> None:
    first, again, other = (small(seed=seed).draw(0)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_more_patients_leave_the_first_as_they_were() -> None:
    few, many = small(patients=2), small(patients=9)
    for number in range(2):
        assert np.array_equal(few.draw(number)[1], many.draw(number)[1])


def test_patients_vary_and_all_have_tumour_in_a_third_of_the_slices() -> None:
    masks = [mask for _, mask in volumes(Phantom(size=32))]
    assert len({len(mask) for mask in masks}) > 8
    assert all(20 <= len(mask) <= 40 for mask in masks)
    burdens = [mask.sum() / mask.size for mask in masks]
    assert min(burdens) > 0
    assert max(burdens) > 10 * min(burdens)
    empty = np.concatenate([~mask.any(axis=(1, 2)) for mask in masks])
    assert 0.55 < empty.mean() < 0.75


def test_tumour_is_bright_in_flair_but_no_threshold_finds_it() -> None:
    flair, tumour = (
        np.concatenate([volume.ravel() for volume in each])
        for each in zip(
            *((images[..., 1], masks > 0) for images, masks in volumes(Phantom(size=32))),
            strict=True,
        )
    )
    assert np.median(flair[tumour]) > 1.2 * np.median(flair[(flair > 40) & ~tumour])
    best = max(
        2 * np.sum(tumour & (flair > level)) / (np.sum(tumour) + np.sum(flair > level))
        for level in range(60, 220, 10)
    )
    assert best < 0.4


def test_interrupted_writing_leaves_nothing_and_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Phantom.draw

    def full_disk(self: Phantom, number: int) -> tuple[str, np.ndarray, np.ndarray]:
        if number == 2:
            raise OSError(28, "No space left on device")
        return draw(self, number)

    monkeypatch.setattr(Phantom, "draw", full_disk)
    with pytest.raises(ValueError, match=r"No space left on device\); set data.root or") as error:
        small().find(tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert len(small().find(tmp_path)[0]) == 3


def test_root_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"data.root=\S*file must be a folder .*BRAINSEG_CACHE"):
        small().find(tmp_path / "file")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patients": 0}, "patients=0 must be within 1 and 9999; set data.reader.patients"),
        ({"slices": (5, 4)}, r"slices=\[5, 4\] must be the fewest, at least 3, and the most"),
        ({"slices": (2, 4)}, r"slices=\[2, 4\] must"),
        ({"size": 8}, "size=8 must be within 16 and 4096 pixels; set data.reader.size"),
        ({"size": 10**6}, "size=1000000 must be within 16 and 4096 pixels"),
        ({"slices": (3, 10**6)}, "the most, at most 1000"),
        ({"seed": -1}, "seed=-1 must not be negative"),
    ],
)
def test_impossible_phantoms_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Phantom(**arguments)  # type: ignore[arg-type]


def test_phantoms_do_not_import_torch() -> None:
    code = "import sys, brainseg.data.phantom; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_phantoms_of_brats_are_read_by_its_reader_as_they_were_drawn(tmp_path: Path) -> None:
    phantom = BraTSPhantom(patients=4, slices=(6, 8), size=32, seed=1)
    found = phantom.find(tmp_path)
    assert found.problems == []
    assert found.left_out == []
    assert found.patients == phantom.layout.find(next(tmp_path.iterdir())).patients
    assert [each.institution for each in found.patients] == ["HGG", "HGG", "HGG", "LGG"]
    for number, patient in enumerate(found.patients):
        images, labels = phantom.draw(number)
        assert images.dtype == np.int16
        read_in, masks, *_ = phantom.read(patient)
        bits = np.vectorize(phantom.bits.get)(labels)
        np.testing.assert_array_equal(masks, bits)
        wt, tc, et = (masks >> k & 1 for k in range(3))
        assert wt.sum() > tc.sum() > et.sum()
        assert (tc <= wt).all()
        assert (et <= tc).all()
        assert et.any() == (number != 3)
        assert read_in.shape == (*labels.shape, 4)
        outside = images.max(0) == 0  # skull-stripped
        assert outside.mean() > 0.2
        assert not labels[outside].any()
    again = BraTSPhantom(patients=2, slices=(6, 8), size=32, seed=1).draw(1)
    np.testing.assert_array_equal(again[0], phantom.draw(1)[0])
