from pathlib import Path

import pytest

from brainseg.files import replacing


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for text in ("one", "two"):
        with replacing(folder) as partial:
            (partial / text).touch()
        assert [path.name for path in folder.iterdir()] == [text]
    assert list(tmp_path.iterdir()) == [folder]


def test_where_the_new_one_cannot_take_its_place_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "a", Path.rename
    with replacing(folder) as partial:
        (partial / "one").touch()

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Input/output"), replacing(folder) as partial:
        (partial / "two").touch()
    assert [path.name for path in folder.iterdir()] == ["one"]


def test_a_folder_of_a_like_name_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "a.partial" / "thesis"
    mine.mkdir(parents=True)
    with replacing(tmp_path / "a"):
        pass
    assert mine.is_dir()


def test_after_a_kill_between_two_renames_the_old_one_is_found_again(tmp_path: Path) -> None:
    (tmp_path / ".a.before").mkdir()
    (tmp_path / ".a.before" / "one").touch()
    with pytest.raises(OSError, match="full"), replacing(tmp_path / "a"):
        raise OSError("full")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["one"]
