"""``commit=atomic``: Dom0 sees a file whole or not at all, the guest sees what it wrote."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import Changes
from backend.fileserver.limits import Slots
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from protocol.ninep.flags import (
    DOTL_APPEND,
    DOTL_EXCL,
    DOTL_RDONLY,
    DOTL_RDWR,
    DOTL_TRUNC,
    DOTL_WRONLY,
)
from tests.backend.fileserver.client import Client, refused
from tests.backend.fileserver.holder import Holder
from tests.backend.fileserver.policies.atomic_commit.seen import content, dom0, hidden, truncated

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.fileserver.disk import WatchedDisk


anew = pytest.mark.parametrize("how", ["Tlopen", "Tlcreate", "Tsetattr"])


def test_a_new_file_appears_when_it_is_closed(
    client: Client, export: Path, disk: WatchedDisk
) -> None:
    fid = client.create(b"file", DOTL_RDWR, 0o640, data=b"first")
    assert dom0(export) == {}
    assert client.names() == {b"file"}
    walked = client.walk(b"file")
    for each in (fid, walked):
        found = client.getattr(each)
        assert (found.nlink, found.size, stat.S_IMODE(found.mode)) == (1, 5, 0o640)
    assert content(client, b"file") == b"first"
    with refused(errno.EEXIST):
        client.create(b"file", DOTL_RDWR | DOTL_EXCL)
    client.write(fid, b" second", 5)
    assert disk.synced == []
    client.clunk(fid)
    assert dom0(export) == {"file": b"first second"}
    assert disk.synced == ["file", "directory"]
    assert client.getattr(walked).qid.path == (export / "file").stat().st_ino
    assert client.names() == {b"file"}


@anew
def test_a_file_is_replaced_when_it_is_closed(client: Client, export: Path, how: str) -> None:
    (export / "file").write_bytes(b"a long old content")
    walked, reading = client.walk(b"file"), client.open(b"file")
    fid = truncated(client, b"file", how)
    client.write(fid, b"new")
    assert dom0(export) == {"file": b"a long old content"}
    assert content(client, b"file") == b"new"
    assert {client.getattr(each).size for each in (fid, walked)} == {3}
    assert client.names() == {b"file"}
    client.clunk(fid)
    assert dom0(export) == {"file": b"new"}
    assert client.read(client.open(fid=walked), 100) == b"new"
    assert client.read(reading, 100) == b"a long old content"


@anew
def test_a_replacement_keeps_mode_owner_and_attributes_and_other_names_the_old_file(
    client: Client, export: Path, how: str, user_attributes: None
) -> None:
    path = export / "file"
    path.write_bytes(b"old")
    os.link(path, export / "other")
    path.chmod(0o604)
    os.setxattr(path, "user.a", b"1")
    before = path.stat()
    fid = truncated(client, b"file", how)
    client.write(fid, b"new")
    client.clunk(fid)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert os.getxattr(path, "user.a") == b"1"
    assert dom0(export) == {"file": b"new", "other": b"old"}


@pytest.mark.parametrize("first", [0, 1])
def test_the_last_of_several_writers_publishes(client: Client, export: Path, first: int) -> None:
    writers = [client.create(b"file", data=b"one"), client.open(b"file", flags=DOTL_RDWR)]
    client.write(writers[1], b"two", 3)
    client.clunk(writers.pop(first))
    assert dom0(export) == {}
    client.write(writers[0], b"three", 6)
    client.clunk(writers[0])
    assert dom0(export) == {"file": b"onetwothree"}


def test_what_is_pending_may_be_truncated_again(client: Client, export: Path) -> None:
    first = client.create(b"file", data=b"a long first try")
    second = client.open(b"file", flags=DOTL_RDWR | DOTL_TRUNC)
    client.write(second, b"short")
    client.truncate(first, 2)
    client.clunk(second)
    client.clunk(first)
    assert dom0(export) == {"file": b"sh"}


def test_what_is_not_truncated_is_changed_in_place(client: Client, export: Path) -> None:
    (export / "file").write_bytes(b"0123456789")
    inode = (export / "file").stat().st_ino
    fid = client.open(b"file", flags=DOTL_RDWR)
    client.write(fid, b"abc", 2)
    assert dom0(export) == {"file": b"01abc56789"}
    client.truncate(fid, 0)  # after a write: no new beginning
    client.clunk(fid)
    client.clunk(client.open(b"file", flags=DOTL_RDONLY | DOTL_TRUNC))
    client.truncate(client.walk(b"file"), 0)
    client.truncate(client.open(b"file", flags=DOTL_WRONLY), 4)
    assert dom0(export) == {"file": bytes(4)}
    assert (export / "file").stat().st_ino == inode


def test_among_writers_that_have_written_a_truncation_is_in_place(
    client: Client, export: Path
) -> None:
    (export / "file").write_bytes(b"0123456789")
    other = client.open(b"file", flags=DOTL_RDWR)
    client.write(other, b"x")
    fid = client.open(b"file", flags=DOTL_WRONLY | DOTL_TRUNC)
    assert dom0(export) == {"file": b""}
    client.write(other, b"y")
    client.clunk(fid)
    assert dom0(export) == {"file": b"y"}


def test_a_writer_by_another_name_keeps_its_file(client: Client, export: Path) -> None:
    (export / "file").write_bytes(b"0123456789")
    os.link(export / "file", export / "twin")
    client.open(b"twin", flags=DOTL_RDWR)
    client.open(b"file", flags=DOTL_WRONLY | DOTL_TRUNC)
    assert dom0(export) == {"file": b"", "twin": b""}


@anew
def test_a_second_fid_that_has_not_written_goes_along(
    client: Client, export: Path, how: str
) -> None:
    """Linux 6.1 with cache=loose opens one for writing back, before it truncates."""
    (export / "file").write_bytes(b"0123456789")
    writeback = client.open(b"file", flags=DOTL_RDWR | DOTL_APPEND)
    fid = truncated(client, b"file", how)
    client.write(writeback, b"new")
    assert dom0(export) == {"file": b"0123456789"}
    client.clunk(fid)
    client.clunk(writeback)
    assert dom0(export) == {"file": b"new"}


@anew
def test_a_session_that_ends_leaves_nothing_and_changes_nothing(
    client: Client, export: Path, how: str
) -> None:
    (export / "old").write_bytes(b"old")
    client.create(b"new", data=b"half of it")
    client.write(truncated(client, b"old", how), b"half")
    client.open(b"old", flags=DOTL_RDWR)
    client.mount()
    assert dom0(export) == {"old": b"old"}
    assert hidden(export) == set()
    assert client.names() == {b"old"}
    assert content(client, b"old") == b"old"


def test_one_writer_that_closed_does_not_speak_for_one_that_did_not(
    client: Client, export: Path
) -> None:
    fid = client.create(b"file", data=b"one")
    client.open(b"file", flags=DOTL_RDWR)
    client.clunk(fid)
    client.mount()
    assert dom0(export) == {}


@anew
def test_a_disk_that_fails_leaves_the_old_file_to_both(
    client: Client, export: Path, disk: WatchedDisk, how: str
) -> None:
    (export / "old").write_bytes(b"old")
    walked = client.walk(b"old")
    for name in (b"old", b"new"):
        fid = truncated(client, name, how) if name == b"old" else client.create(name)
        client.write(fid, b"data")
        disk.fail(errno.EIO, "file")
        with refused(errno.EIO):
            client.clunk(fid)
        disk.fail(0)
    assert dom0(export) == {"old": b"old"}
    assert client.names() == {b"old"}
    assert client.getattr(walked).size == 3
    fid = truncated(client, b"old", how)
    client.write(fid, b"better")
    client.clunk(fid)
    assert dom0(export) == {"old": b"better"}


@anew
def test_attributes_that_cannot_be_kept_keep_the_old_file(
    client: Client, export: Path, disk: WatchedDisk, how: str
) -> None:
    (export / "old").write_bytes(b"old")
    disk.fail(errno.EIO, "list")
    with refused(errno.EIO):
        truncated(client, b"old", how)
    assert content(client, b"old") == b"old"
    disk.fail(errno.EOPNOTSUPP, "list")  # a file system without them
    client.clunk(truncated(client, b"old", how))
    assert dom0(export) == {"old": b""}


def test_too_few_descriptors_for_all_writers_keep_the_old_file(export: Path) -> None:
    (export / "file").write_bytes(b"old")
    slots = Slots("descriptors", 9)
    held = Holder(AtomicCommitTree(LocalTree(str(export), slots)))
    node = held.lookup(b"file")
    writers = [held.file(held.tree.open(node, os.O_WRONLY)) for _ in range(3)]
    # The root, the file, three writers; the new file takes two, each writer but the first one more.
    slots.capacity = 8  # type: ignore[misc]
    with refused(errno.EMFILE):
        held.tree.setattr(node, writers[0], Changes(size=0))
    assert slots.used == 5
    assert dom0(export) == {"file": b"old"}
    slots.capacity = 9  # type: ignore[misc]
    held.tree.setattr(node, writers[0], Changes(size=0))
    held.release()
    assert dom0(export) == {"file": b""}
    held.tree.close()
    assert slots.used == 0


def test_a_writer_whose_close_fails_does_not_publish(
    client: Client, export: Path, disk: WatchedDisk
) -> None:
    first = client.create(b"file", data=b"first")
    second = client.open(b"file", flags=DOTL_RDWR)
    disk.fail(errno.EIO, "close")
    with refused(errno.EIO):
        client.clunk(second)
    disk.fail(0)
    with refused(errno.EIO):  # nobody is to believe that the file is there
        client.clunk(first)
    assert dom0(export) == {}


def test_a_name_that_dom0_gave_to_a_directory_is_told(client: Client, export: Path) -> None:
    fid = client.create(b"file", data=b"data")
    (export / "file").mkdir()
    with refused(errno.EISDIR):
        client.clunk(fid)
    assert list((export / "file").iterdir()) == []


def test_a_directory_that_does_not_reach_the_disk_is_told(
    client: Client, export: Path, disk: WatchedDisk
) -> None:
    fid = client.create(b"file", data=b"data")
    disk.fail(errno.ENOSPC, "directory")
    with refused(errno.ENOSPC):
        client.clunk(fid)
    assert dom0(export) == {"file": b"data"}


def test_a_directory_that_dom0_removes_is_told(client: Client, export: Path) -> None:
    client.mkdir(b"dir")
    directory = client.walk(b"dir")
    fid = client.create(b"file", fid=directory, data=b"data")
    for path in (export / "dir").iterdir():
        path.unlink()
    (export / "dir").rmdir()
    with refused(errno.ENOENT):
        client.clunk(fid)
    with refused(errno.ENOENT):
        client.create(b"file", fid=directory)


def test_what_is_created_for_reading_is_whole_at_once(client: Client, export: Path) -> None:
    fid = client.create(b"file", DOTL_RDONLY)
    assert dom0(export) == {"file": b""}
    with refused(errno.EEXIST):
        client.create(b"file", DOTL_RDONLY | DOTL_EXCL)
    assert client.read(fid, 9) == b""


def test_a_file_that_dom0_moved_is_truncated_where_it_is(client: Client, export: Path) -> None:
    (export / "file").write_bytes(b"data")
    (export / "gone").write_bytes(b"data")
    fids = [client.open(name, flags=DOTL_RDWR) for name in (b"file", b"gone")]
    (export / "file").rename(export / "moved")
    (export / "gone").rename(export / "away")
    (export / "gone").write_bytes(b"another")
    for fid in fids:
        client.truncate(fid, 0)
    assert dom0(export) == {"moved": b"", "away": b"", "gone": b"another"}
    assert content(client, b"gone") == b"another"
    unlinked = client.open(b"gone", flags=DOTL_RDWR)
    client.unlink(b"gone")
    client.truncate(unlinked, 0)


def test_owners_that_are_kept_in_attributes(
    export: Path, disk: WatchedDisk, user_attributes: None
) -> None:
    client = Client(
        str(export), wrap=lambda local: AtomicCommitTree(MappedXattrTree(disk.wrap(local)))
    )
    client.mount(n_uname=1000)
    for data in (b"first", b"second"):
        fid = client.create(b"file", DOTL_WRONLY | DOTL_TRUNC, 0o640, data=data, gid=1001)
        client.clunk(fid)
        found = client.getattr(client.walk(b"file"))
        assert (found.uid, found.gid, stat.S_IMODE(found.mode)) == (1000, 1001, 0o640)
        assert dom0(export) == {"file": data}
    disk.fail(errno.ENOSPC, "set")
    with refused(errno.ENOSPC):
        client.create(b"new")
    assert client.names() == {b"file"}
    client.close()
