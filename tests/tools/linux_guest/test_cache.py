"""What is kept is whole: a folder appears when it was made to the end, and is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools.linux_guest.cache import Cache

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    made = []

    def make(target: Path) -> None:
        (target / "file").write_text("content")
        made.append(target)

    cache = Cache(tmp_path)
    for _ in range(2):
        assert (cache.folder("name", make) / "file").read_text() == "content"
    assert len(made) == 1


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def make(target: Path) -> None:
        (target / "half").touch()
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        Cache(tmp_path).folder("name", make)
    assert list(tmp_path.iterdir()) == []


def test_two_that_make_the_same_at_once_keep_one(tmp_path: Path) -> None:
    def make(target: Path) -> None:
        (target / "file").write_text("late")
        (tmp_path / "name").mkdir()
        (tmp_path / "name" / "file").write_text("first")

    assert (Cache(tmp_path).folder("name", make) / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    def make(target: Path) -> None:
        (tmp_path / "name").write_text("in the way")

    with pytest.raises(NotADirectoryError):
        Cache(tmp_path).folder("name", make)
    assert [path.name for path in tmp_path.iterdir()] == ["name"]
