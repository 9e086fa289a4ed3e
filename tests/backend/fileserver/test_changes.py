"""Tunlinkat and Trenameat: names change, fids stay with their files."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.flags import AT_REMOVEDIR, DOTL_DIRECTORY, DOTL_RDWR, SETATTR_MODE
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Trenameat, Tunlinkat

from .client import BAD_NAMES, ROOT, TAG, Client, refused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def tree(export: Path) -> Path:
    (export / "dir").mkdir()
    (export / "dir/inner").write_bytes(b"inner")
    (export / "file").write_bytes(b"data")
    (export / "empty").mkdir()
    return export


def test_unlink_files_links_and_directories(client: Client, tree: Path) -> None:
    (tree / "link").symlink_to("dir")
    os.mkfifo(tree / "fifo")
    for name in (b"link", b"fifo", b"file"):
        client.unlink(name)
    client.unlink(b"empty", AT_REMOVEDIR)
    assert {path.name for path in tree.iterdir()} == {"dir"}
    assert (tree / "dir/inner").exists()


@pytest.mark.parametrize(
    ("name", "flags", "code"),
    [
        (b"missing", 0, errno.ENOENT),
        (b"missing", AT_REMOVEDIR, errno.ENOENT),
        (b"file", AT_REMOVEDIR, errno.ENOTDIR),
        (b"empty", 0, errno.EISDIR),
        (b"dir", AT_REMOVEDIR, errno.ENOTEMPTY),
        (b"file", 1, errno.EINVAL),
        (b"file", 0xFFFF_FFFF, errno.EINVAL),
        *((name, 0, code) for name, code in BAD_NAMES),
        *((name, AT_REMOVEDIR, code) for name, code in BAD_NAMES),
    ],
)
def test_unlink_refused(client: Client, tree: Path, name: bytes, flags: int, code: int) -> None:
    with refused(code):
        client.unlink(name, flags)
    assert {path.name for path in tree.iterdir()} == {"dir", "empty", "file"}


@pytest.mark.parametrize(
    "name", [b"x" * 255, bytes(byte for byte in range(1, 256) if byte != ord("/")), b"..."]
)
def test_a_name_of_any_bytes_serves_every_request(client: Client, tree: Path, name: bytes) -> None:
    other = bytes(reversed(name))[:-1] + b"!"
    directory = client.open(b"empty", flags=DOTL_DIRECTORY)
    fid = client.create(name, fid=client.walk(fid=directory), data=b"data")
    client.link(fid, other, to=directory)
    client.rename_fid(fid, b"1" + name[1:], to=directory)
    client.rename(b"1" + name[1:], name, fid=directory, to=directory)
    assert client.names(b"empty") == {name, other}
    assert os.listdir(os.fsencode(tree / "empty")) in ([name, other], [other, name])
    client.unlink(other, fid=directory)
    client.remove(client.walk(name, fid=directory))
    client.mkdir(name, fid=directory)
    client.unlink(name, AT_REMOVEDIR, fid=directory)
    client.symlink(name, other, fid=directory)
    assert client.readlink(client.walk(name, fid=directory)) == other
    client.unlink(name, fid=directory)
    client.mknod(name, 0o600, fid=directory)
    assert client.names(b"empty") == {name}


def test_unlink_works_in_an_open_directory_and_not_in_a_file(client: Client, tree: Path) -> None:
    client.unlink(b"inner", fid=client.open(b"dir", flags=DOTL_DIRECTORY))
    assert not (tree / "dir/inner").exists()
    with refused(errno.ENOTDIR):
        client.unlink(b"x", fid=client.walk(b"file"))
    with refused(errno.EBADF):
        client.call(Tunlinkat(TAG, Fid(99), b"file", 0))


def test_an_unlinked_file_lives_on_in_its_fids(client: Client, tree: Path) -> None:
    opened = client.open(b"file", flags=DOTL_RDWR)
    walked = client.walk(b"file")
    client.unlink(b"file")
    assert client.write(opened, b"more", 4) == 4
    client.truncate(opened, 6)
    client.setattr(opened, SETATTR_MODE, mode=0o600)
    client.fsync(opened)
    for fid in (opened, walked):
        attributes = client.getattr(fid)
        assert (attributes.size, attributes.nlink, attributes.mode & 0o7777) == (6, 0, 0o600)
    assert client.read(opened, 10) == b"datamo"
    client.truncate(walked, 2)
    reopened = client.open(fid=walked)
    assert client.read(reopened, 10) == b"da"
    assert not (tree / "file").exists()


def test_a_removed_directory_lives_on_without_entries(client: Client) -> None:
    fid = client.open(b"empty", flags=DOTL_DIRECTORY)
    client.unlink(b"empty", AT_REMOVEDIR)
    assert client.getattr(fid).nlink == 0
    with refused(errno.ENOENT):  # what getdents(2) says, and readdir(3) takes for the end
        client.entries(fid)
    with refused(errno.ENOENT):
        client.create(b"new", fid=client.walk(fid=fid))
    with refused(errno.ENOENT):
        client.mkdir(b"new", fid=fid)


def test_rename_within_across_and_over(client: Client, tree: Path) -> None:
    directory = client.open(b"dir", flags=DOTL_DIRECTORY)
    opened = client.open(b"file", flags=DOTL_RDWR)
    client.rename(b"file", b"renamed")
    client.rename(b"renamed", b"moved", to=directory)
    client.rename(b"moved", b"inner", fid=directory, to=directory)
    assert (tree / "dir/inner").read_bytes() == b"data"
    assert {path.name for path in tree.iterdir()} == {"dir", "empty"}
    assert client.write(opened, b"D") == 1
    assert (tree / "dir/inner").read_bytes() == b"Data"
    client.rename(b"dir", b"empty")  # a directory over an empty one
    assert (tree / "empty/inner").exists()
    assert client.names(b"empty") == {b"inner"}


def test_rename_moves_links_themselves(client: Client, tree: Path) -> None:
    (tree / "link").symlink_to("/etc")
    client.rename(b"link", b"moved", to=client.walk(b"dir"))
    assert (tree / "dir/moved").readlink().as_posix() == "/etc"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"missing", b"new", errno.ENOENT),
        (b"file", b"empty", errno.EISDIR),
        (b"empty", b"file", errno.ENOTDIR),
        (b"empty", b"dir", errno.ENOTEMPTY),
        *((name, b"new", code) for name, code in BAD_NAMES),
        *((b"file", name, code) for name, code in BAD_NAMES),
    ],
)
def test_rename_refused(client: Client, tree: Path, old: bytes, new: bytes, code: int) -> None:
    with refused(code):
        client.rename(old, new)
    assert {path.name for path in tree.iterdir()} == {"dir", "empty", "file"}
    assert (tree.parent / "secret").exists()


def test_rename_of_a_directory_into_itself_or_through_a_file(client: Client) -> None:
    with refused(errno.EINVAL):
        client.rename(b"dir", b"below", to=client.walk(b"dir"))
    with refused(errno.ENOTDIR):
        client.rename(b"dir", b"below", to=client.walk(b"file"))
    for old, new in [(Fid(99), ROOT), (ROOT, Fid(99))]:
        with refused(errno.EBADF):
            client.call(Trenameat(TAG, old, b"file", new, b"new"))
