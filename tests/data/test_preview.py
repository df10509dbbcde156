import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brainseg.data.cache import Scans
from brainseg.data.phantom import Phantom
from brainseg.data.preview import contact_sheet, main
from brainseg.data.transforms import augment

SMALL = ["data=phantom", "data.reader.patients=3", "data.reader.slices=[4,6]", "data.size=32"]
SMALL += ["data.reader.size=32"]


@pytest.mark.slow
def test_preview_runs_from_another_folder_and_prints_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAINSEG_CACHE", str(tmp_path / "cache"))
    command = [sys.executable, "-m", "brainseg.data.preview", *SMALL, "data.crop=true"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    picture = np.asarray(Image.open(tmp_path / done.stdout.strip()).convert("RGB"), np.int64)
    assert min(picture.shape[:2]) > 500
    red = picture[..., 0] - picture[..., 1:].max(axis=-1)
    assert (red > 100).any()  # the masks' outlines


def test_sheet_has_modalities_and_augmented_versions_of_patients_of_all_burdens(
    tmp_path: Path,
) -> None:
    scans = Scans(
        Phantom(patients=7, slices=(5, 6), size=32),
        modalities=["flair", "post"],
        size=32,
        root=tmp_path,
        cache_dir=tmp_path / "cache",
    )
    scans.prepare()
    axes = contact_sheet(scans, augment()).axes
    assert [axis.get_title() for axis in axes[:3]] == ["flair", "post", "flair, epoch 0"]
    pixels = [int(a.get_ylabel().split()[-2]) for a in axes if a.get_ylabel()]
    assert len(pixels) == 6
    assert pixels == sorted(pixels, reverse=True)
    assert pixels[-1] == 0 < pixels[-2]
    shown = [np.asarray(axis.images[0].get_array()) for axis in axes[:4]]
    assert not any(np.array_equal(shown[0], other) for other in shown[1:])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data=phantum", "phantom"),
        ("data.siz=32", "data.siz"),
        ("augment.zoom=1", "zoom=1 must be within 0 and 1; set augment.zoom, e.g. 0.1"),
    ],
)
def test_bad_input_ends_without_traceback(
    override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message) as end:
        main([*SMALL, override])
    assert end.value.code not in (0, None)
    assert not list(tmp_path.iterdir())
