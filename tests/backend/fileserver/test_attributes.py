"""Tgetattr, Tsetattr, Tstatfs: what stat(2) says, and what may be changed."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.attributes import V9FS_MAGIC
from protocol.ninep.flags import (
    DOTL_RDONLY,
    DOTL_RDWR,
    GETATTR_ALL,
    GETATTR_BASIC,
    GETATTR_MODE,
    QTDIR,
    QTFILE,
    QTSYMLINK,
    SETATTR_ATIME,
    SETATTR_ATIME_SET,
    SETATTR_CTIME,
    SETATTR_GID,
    SETATTR_MODE,
    SETATTR_MTIME,
    SETATTR_MTIME_SET,
    SETATTR_SIZE,
    SETATTR_UID,
)
from protocol.ninep.ids import NONUNAME, Fid
from protocol.ninep.messages import Tgetattr, Tsetattr, Tstatfs

from .client import TAG, Client, refused, unprivileged

if TYPE_CHECKING:
    from pathlib import Path

BOTH_SET = SETATTR_ATIME | SETATTR_MTIME | SETATTR_ATIME_SET | SETATTR_MTIME_SET
U64 = 1 << 64


@pytest.fixture(autouse=True)
def tree(export: Path) -> Path:
    (export / "file").write_bytes(b"0123456789")
    (export / "dir").mkdir()
    (export / "link").symlink_to("file")
    os.mkfifo(export / "fifo")
    return export


@pytest.mark.parametrize("name", ["file", "dir", "link", "fifo"])
def test_attributes_are_those_of_lstat(client: Client, tree: Path, name: str) -> None:
    found = client.getattr(client.walk(name.encode()))
    status = (tree / name).lstat()
    assert found.qid.path == status.st_ino
    assert found.qid.type == {"dir": QTDIR, "link": QTSYMLINK}.get(name, QTFILE)
    assert [found.mode, found.uid, found.gid] == [status.st_mode, status.st_uid, status.st_gid]
    assert [found.nlink, found.rdev, found.size] == [status.st_nlink, 0, status.st_size]
    assert [found.blksize, found.blocks] == [status.st_blksize, status.st_blocks]
    for sec, nsec, ns in [
        (found.atime_sec, found.atime_nsec, status.st_atime_ns),
        (found.mtime_sec, found.mtime_nsec, status.st_mtime_ns),
        (found.ctime_sec, found.ctime_nsec, status.st_ctime_ns),
    ]:
        assert sec * 10**9 + nsec == ns
        assert nsec < 10**9
    assert (found.btime_sec, found.btime_nsec, found.gen, found.data_version) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("asked", "valid"),
    [
        (0, 0),
        (GETATTR_MODE, GETATTR_MODE),
        (0x17FF, GETATTR_BASIC),
        (GETATTR_ALL, GETATTR_BASIC),
        ((1 << 64) - 1, GETATTR_BASIC),
        (1 << 40, 0),
    ],
)
def test_valid_is_what_was_asked_and_is_known(client: Client, asked: int, valid: int) -> None:
    assert client.call(Tgetattr(TAG, client.walk(b"file"), asked)).valid == valid


@pytest.mark.parametrize("opened", [None, DOTL_RDONLY, DOTL_RDWR])
def test_size_mode_and_times_change_open_or_not(
    client: Client, tree: Path, opened: int | None
) -> None:
    fid = client.walk(b"file") if opened is None else client.open(b"file", flags=opened)
    (tree / "file").rename(tree / "elsewhere")
    (tree / "file").write_bytes(b"another file of the name")
    client.setattr(
        fid,
        SETATTR_SIZE | SETATTR_MODE | BOTH_SET,
        size=4,
        mode=stat.S_IFREG | 0o4751,
        atime_sec=1,
        atime_nsec=999_999_999,
        mtime_sec=(1 << 33) + 7,
        mtime_nsec=1,
    )
    assert (client.getattr(fid).atime_sec, client.getattr(fid).atime_nsec) == (1, 999_999_999)
    status = (tree / "elsewhere").stat()
    assert (tree / "elsewhere").read_bytes() == b"0123"
    assert stat.S_IMODE(status.st_mode) == 0o4751
    assert status.st_mtime_ns == ((1 << 33) + 7) * 10**9 + 1
    client.truncate(fid, 1 << 33)
    assert client.getattr(fid).size == 1 << 33
    assert (tree / "file").stat().st_size == 24


def test_times_before_1970_keep_their_sign(client: Client, tree: Path) -> None:
    fid = client.walk(b"file")
    client.setattr(fid, BOTH_SET, atime_sec=U64 - 5, atime_nsec=7, mtime_sec=U64 - 1, mtime_nsec=0)
    assert (tree / "file").stat().st_atime_ns == -5 * 10**9 + 7
    found = client.getattr(fid)
    assert (found.atime_sec, found.atime_nsec) == (U64 - 5, 7)
    assert (found.mtime_sec, found.mtime_nsec) == (U64 - 1, 0)


def test_one_time_is_set_and_the_other_left(client: Client, tree: Path) -> None:
    os.utime(tree / "file", ns=(111, 222))
    fid = client.walk(b"file")
    client.setattr(fid, SETATTR_ATIME | SETATTR_ATIME_SET, atime_sec=3)
    assert (tree / "file").stat().st_mtime_ns == 222
    client.setattr(fid, SETATTR_MTIME | SETATTR_MTIME_SET, mtime_sec=4)
    status = (tree / "file").stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == (3 * 10**9, 4 * 10**9)


def test_a_time_that_is_not_given_is_now(client: Client, tree: Path) -> None:
    os.utime(tree / "file", ns=(111, 222))
    before = time.time()
    client.setattr(client.walk(b"file"), SETATTR_ATIME | SETATTR_MTIME, atime_sec=5, mtime_sec=5)
    status = (tree / "file").stat()
    # The file system's clock may lag behind by a tick.
    assert before - 1 <= status.st_atime <= time.time()
    assert before - 1 <= status.st_mtime <= time.time()


@pytest.mark.parametrize("nsec", [10**9, (1 << 30) - 1, (1 << 30) - 2, U64 - 1])
def test_nanoseconds_are_less_than_a_second(client: Client, tree: Path, nsec: int) -> None:
    before = (tree / "file").stat()
    for valid, field in [
        (SETATTR_ATIME | SETATTR_ATIME_SET, "atime_nsec"),
        (SETATTR_MTIME | SETATTR_MTIME_SET, "mtime_nsec"),
    ]:
        with refused(errno.EINVAL):
            client.setattr(client.walk(b"file"), valid | SETATTR_MODE, **{field: nsec})
    after = (tree / "file").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_a_change_of_size_leaves_the_mtime_that_comes_with_it(client: Client, tree: Path) -> None:
    valid = SETATTR_SIZE | SETATTR_MTIME | SETATTR_MTIME_SET
    client.setattr(client.walk(b"file"), valid, size=1, mtime_sec=99)
    assert (tree / "file").stat().st_mtime == 99


def test_ctime_alone_touches_the_inode(client: Client, tree: Path) -> None:
    os.utime(tree / "file", ns=(111, 222))
    before = (tree / "file").stat()
    deadline = time.monotonic() + 5
    while (tree / "file").stat().st_ctime_ns == before.st_ctime_ns:
        assert time.monotonic() < deadline
        client.setattr(client.walk(b"file"), SETATTR_CTIME)
    after = (tree / "file").stat()
    assert (after.st_atime_ns, after.st_mtime_ns) == (111, 222)
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


def test_nothing_asked_changes_nothing(client: Client, tree: Path) -> None:
    before = (tree / "file").stat()
    client.setattr(client.walk(b"file"), 0, mode=0, size=0, uid=5)
    assert (tree / "file").stat() == before


def test_the_owner_changes_where_the_process_may(client: Client, tree: Path) -> None:
    fid = client.walk(b"file")
    (tree / "file").chmod(0o4755)
    valid = SETATTR_UID | SETATTR_GID | SETATTR_MODE
    if os.geteuid() == 0:
        client.setattr(fid, valid, uid=1234, gid=0xFFFF_FFFE, mode=0o4755)
        client.setattr(fid, SETATTR_UID, uid=NONUNAME)
        client.setattr(client.walk(b"link"), SETATTR_GID, gid=77)
        status = (tree / "file").stat()
        assert (status.st_uid, status.st_gid) == (1234, 0xFFFF_FFFE)
        assert stat.S_IMODE(status.st_mode) == 0o4755
        assert (tree / "link").lstat().st_gid == 77
    else:
        client.setattr(fid, valid, uid=os.geteuid(), gid=os.getegid(), mode=0o4755)
        assert stat.S_IMODE((tree / "file").stat().st_mode) == 0o4755


def test_an_owner_that_the_process_may_not_give_stays_without_an_error(
    client: Client, tree: Path
) -> None:
    """As an archive is unpacked: owner, then mode and times, each wanted of its own accord."""
    tree.chmod(0o777)
    with unprivileged():
        fid = client.create(b"new", data=b"x", gid=0)
        before = client.getattr(fid)
        client.setattr(fid, SETATTR_UID | SETATTR_GID, uid=before.uid + 1, gid=0)
        client.setattr(fid, SETATTR_UID | SETATTR_MODE | BOTH_SET, uid=0, mode=0o640, mtime_sec=9)
        client.setattr(fid, SETATTR_UID, uid=before.uid)
        after = client.getattr(fid)
    assert (after.uid, after.gid) == (before.uid, before.gid)
    assert (stat.S_IMODE(after.mode), after.mtime_sec) == (0o640, 9)


def test_what_belongs_to_somebody_else_keeps_its_owner() -> None:
    host = Client("/etc")
    host.mount()
    with unprivileged():
        fid = host.walk(b"passwd")
        host.setattr(fid, SETATTR_UID, uid=os.geteuid())
        assert host.getattr(fid).uid == 0
        with refused(errno.EPERM):  # what a mode is worth must be known
            host.setattr(fid, SETATTR_UID | SETATTR_MODE, uid=os.geteuid(), mode=0o666)
    host.close()


def test_what_belongs_to_somebody_else_keeps_its_times() -> None:
    host = Client("/etc")
    host.mount()
    with unprivileged():
        fid = host.walk(b"passwd")
        with refused(errno.EPERM):
            host.setattr(fid, SETATTR_ATIME | SETATTR_ATIME_SET, atime_sec=1)
    host.close()


def test_of_a_link_its_own_attributes_change(client: Client, tree: Path) -> None:
    before = (tree / "file").stat()
    fid = client.walk(b"link")
    client.setattr(fid, BOTH_SET, atime_sec=5, mtime_sec=6)
    assert (tree / "link").lstat().st_mtime == 6
    with refused(errno.EOPNOTSUPP):
        client.setattr(fid, SETATTR_MODE, mode=0o600)
    with refused(errno.ELOOP):
        client.truncate(fid, 0)
    assert (tree / "file").stat() == before


def test_of_special_files_too_but_they_have_no_size(client: Client, tree: Path) -> None:
    fid = client.walk(b"fifo")
    client.setattr(fid, SETATTR_MODE | BOTH_SET, mode=0o600, mtime_sec=6)
    status = (tree / "fifo").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o600, 6)
    with refused(errno.ENXIO):
        client.truncate(fid, 0)
    with refused(errno.EISDIR):
        client.truncate(client.walk(b"dir"), 0)


@pytest.mark.parametrize("size", [1 << 63, U64 - 1])
def test_sizes_that_no_file_has(client: Client, tree: Path, size: int) -> None:
    for fid in (client.walk(b"file"), client.open(b"file", flags=DOTL_RDWR)):
        with refused(errno.EFBIG):
            client.truncate(fid, size)
    assert (tree / "file").stat().st_size == 10


def test_unknown_bits_and_unknown_fids(client: Client) -> None:
    for valid in (0x200, 0x8000_0000, 0xFFFF_FFFF):
        with refused(errno.EINVAL):
            client.setattr(client.walk(b"file"), valid)
    for request in (
        Tgetattr(TAG, Fid(99), 0),
        Tsetattr(TAG, Fid(99), 0, 0, 0, 0, 0, 0, 0, 0, 0),
        Tstatfs(TAG, Fid(99)),
    ):
        with refused(errno.EBADF):
            client.call(request)


def test_statfs_counts_bytes_as_the_host_does(client: Client, tree: Path) -> None:
    for fid in (client.walk(), client.walk(b"link"), client.open(b"file", flags=DOTL_RDONLY)):
        found = client.statfs(fid)
        host = os.statvfs(tree)
        assert found.type == V9FS_MAGIC
        assert found.blocks * found.bsize == host.f_blocks * host.f_frsize
        assert (found.files, found.namelen, found.fsid) == (
            host.f_files,
            host.f_namemax,
            host.f_fsid,
        )
        assert found.bavail <= found.bfree <= found.blocks
        assert found.ffree <= found.files


def test_the_version_of_a_file_follows_its_content(client: Client, tree: Path) -> None:
    fid = client.walk(b"file")
    versions = [client.getattr(fid).qid.version]
    assert client.getattr(fid).qid.version == versions[0]
    (tree / "file").write_bytes(b"longer than it was")
    versions.append(client.getattr(fid).qid.version)
    os.utime(tree / "file", ns=(0, 5))
    versions.append(client.getattr(fid).qid.version)
    (tree / "file").write_bytes(b"")
    os.utime(tree / "file", ns=(0, 0))
    versions.append(client.getattr(fid).qid.version)
    assert len(set(versions)) == 4
    assert 0 not in versions  # 0 would tell Linux not to cache
    assert client.getattr(client.walk(b"dir")).qid.version == 0
