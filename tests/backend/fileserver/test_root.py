"""Opening an export: what an administrator is told about a path that cannot be served."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.local_tree import LocalTree
from backend.fileserver.root import check_beneath, file_key, open_root

from .client import Client, refused, unprivileged

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("missing", errno.ENOENT, "No such file"),
        ("file", errno.ENOTDIR, "Not a directory"),
        ("file/below", errno.ENOTDIR, "Not a directory"),
        ("loop", errno.ELOOP, "Too many levels"),
        ("nul\0", errno.EINVAL, "null"),
    ],
)
def test_a_path_that_cannot_be_served_is_named(
    export: Path, path: str, code: int, words: str
) -> None:
    (export / "file").touch()
    (export / "loop").symlink_to("loop")
    for opening in (open_root, LocalTree):
        with pytest.raises(OSError, match=words) as caught:
            opening(f"{export}/{path}")
        assert caught.value.errno == code
        assert "export path" in str(caught.value)
        assert path.rstrip("\0") in str(caught.value)


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_a_directory_that_cannot_be_listed_is_refused(export: Path, mode: int) -> None:
    here = os.open(".", os.O_RDONLY)
    (export / "private").mkdir()
    try:
        os.chdir(export)
        (export / "private").chmod(mode)
        with unprivileged(), refused(errno.EACCES):
            open_root("private")
    finally:
        os.fchdir(here)
        os.close(here)
        (export / "private").chmod(0o700)


def test_the_administrators_own_links_are_followed(export: Path) -> None:
    (export / "file").touch()
    (export.parent / "link").symlink_to("export")
    client = Client(str(export.parent / "link"))
    client.mount()
    assert client.names() == {b"file"}
    client.close()


def test_a_descriptor_is_taken_over(export: Path) -> None:
    (export / "file").touch()
    tree = LocalTree(os.open(export, os.O_PATH))
    tree.lookup(tree.root, b"file").release()
    tree.close()


def test_beneath_is_proved_by_climbing(export: Path) -> None:
    (export / "a/b").mkdir(parents=True)
    (export.parent / "export2").mkdir()
    opened = {
        name: os.open(export / name, os.O_PATH) for name in (".", "a", "a/b", "..", "../export2")
    }
    try:
        root = file_key(opened["."])
        for name in (".", "a", "a/b"):
            check_beneath(opened[name], root)
        for name in ("..", "../export2"):
            with refused(errno.EACCES):
                check_beneath(opened[name], root)
    finally:
        for fd in opened.values():
            os.close(fd)
