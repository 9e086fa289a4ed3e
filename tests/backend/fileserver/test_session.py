"""Tversion and Tattach: how a session begins, begins again and ends."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.session import MAX_ANAME, MIN_MSIZE
from protocol.ninep.dialects import Dialect
from protocol.ninep.flags import QTDIR
from protocol.ninep.ids import NOFID, NONUNAME, NOTAG, Fid, Tag
from protocol.ninep.messages import Rversion, Tattach, Tversion, Txattrcreate

from .client import ROOT, TAG, Client, refused

if TYPE_CHECKING:
    from pathlib import Path


def attach(client: Client, aname: bytes, fid: int = 50, afid: Fid = NOFID) -> Fid:
    client.call(Tattach(TAG, Fid(fid), afid, b"user", aname, NONUNAME))
    return Fid(fid)


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        (MIN_MSIZE, MIN_MSIZE),
        (131096, 131096),
        (1 << 20, 1 << 20),
        ((1 << 20) + 1, 1 << 20),
        (0xFFFF_FFFF, 1 << 20),
    ],
)
def test_msize_is_the_smaller_of_both(client: Client, asked: int, agreed: int) -> None:
    reply = client.call(Tversion(NOTAG, asked, b"9P2000.L"))
    assert reply == Rversion(NOTAG, agreed, b"9P2000.L")
    assert client.session.msize == agreed
    assert client.session.dialect is Dialect.DOTL


@pytest.mark.parametrize("asked", [0, 23, MIN_MSIZE - 1])
def test_an_msize_too_small_to_work_with_begins_no_session(client: Client, asked: int) -> None:
    with refused(errno.EMSGSIZE):
        client.call(Tversion(NOTAG, asked, b"9P2000.L"))
    assert client.session.dialect is None
    with refused(errno.EPROTO):
        attach(client, b"")


@pytest.mark.parametrize(
    "version", [b"", b"9P2000", b"9P2000.", b"9P2000.U", b"9P2000.Lx", b"9P2000.u.L", b"\xff" * 300]
)
def test_another_dialect_is_unknown_and_begins_no_session(client: Client, version: bytes) -> None:
    assert client.call(Tversion(Tag(0), 8192, version)) == Rversion(Tag(0), 8192, b"unknown")
    assert client.session.dialect is None
    assert client.in_use() == set()
    with refused(errno.EPROTO):
        attach(client, b"")
    client.mount()


@pytest.mark.parametrize("dialect", Dialect)
def test_every_dialect_is_offered(client: Client, dialect: Dialect) -> None:
    """Mini-OS sends Tversion with tag 0, and half of half a ring as msize."""
    reply = client.call(Tversion(Tag(0), 2048, dialect.value))
    assert reply == Rversion(Tag(0), 2048, dialect.value)
    assert client.session.dialect is dialect


def test_a_second_version_forgets_all_fids_and_what_they_hold(client: Client) -> None:
    open_file = client.create(b"file", data=b"x")
    client.open(flags=0)
    client.walk()
    client.xattr_fid(ROOT)
    client.call(Txattrcreate(TAG, client.walk(), b"user.a", 9, 0))
    client.mount()
    assert client.in_use() == {ROOT}
    assert [slots.used for slots in client.slots()] == [1, 0, 0, 0, 0]
    assert client.local._descriptors.used == 1  # the root
    with refused(errno.EBADF):
        client.read(open_file, 1)


@pytest.mark.parametrize("aname", [b"", b"/", b"//"])
def test_attach_gives_the_root(client: Client, export: Path, aname: bytes) -> None:
    reply = client.call(Tattach(TAG, Fid(9), NOFID, b"", aname, 0))
    assert (reply.qid.type, reply.qid.path) == (QTDIR, export.stat().st_ino)


def test_attach_below_the_root_begins_there(client: Client, export: Path) -> None:
    (export / "a" / "b").mkdir(parents=True)
    (export / "a" / "file").write_bytes(b"data")
    fid = attach(client, b"/a/b/")
    assert client.getattr(fid).qid.path == (export / "a/b").stat().st_ino
    up = client.walk(b"..", fid=fid)
    assert client.getattr(up).qid.path == (export / "a").stat().st_ino
    file = attach(client, b"a/file", fid=51)
    client.clunk(file)
    for attached in (fid, up):
        with refused(errno.EBUSY):
            client.remove(attached)


@pytest.mark.parametrize(
    ("aname", "code"),
    [
        (b"missing", errno.ENOENT),
        (b"dir/missing", errno.ENOENT),
        (b"file/through", errno.ENOTDIR),
        (b"out/secret", errno.ENOTDIR),
        (b"..", errno.EINVAL),
        (b"dir/../..", errno.EINVAL),
        (b".", errno.EINVAL),
        (b"dir\0", errno.EINVAL),
        (b"x" * 256, errno.ENAMETOOLONG),
        (b"/" * (MAX_ANAME + 1), errno.ENAMETOOLONG),
    ],
)
def test_attach_leads_nowhere_else(client: Client, export: Path, aname: bytes, code: int) -> None:
    (export / "dir").mkdir()
    (export / "file").touch()
    (export / "out").symlink_to("..")
    with refused(code):
        attach(client, aname)
    assert client.in_use() == {ROOT}


def test_fids_of_attach(client: Client) -> None:
    with refused(errno.EBUSY):
        client.call(Tattach(TAG, ROOT, NOFID, b"", b"", 0))
    with refused(errno.EBADF):
        client.call(Tattach(TAG, NOFID, NOFID, b"", b"", 0))
    with refused(errno.EINVAL):
        attach(client, b"", afid=Fid(3))
    with refused(errno.ENOENT):
        attach(client, b"root")
    attach(client, b"root", afid=Fid(0))  # Mini-OS
    assert client.in_use() == {ROOT, Fid(50)}


def test_what_is_created_belongs_to_the_user_who_attached_if_that_may_be(
    client: Client, export: Path
) -> None:
    client.mount(n_uname=1234)
    client.clunk(client.create(b"file", gid=2345))
    client.mkdir(b"dir", gid=2345)
    may = os.geteuid() == 0
    for name in ("file", "dir"):
        status = (export / name).stat()
        owner = (1234, 2345) if may else (os.geteuid(), os.getegid())
        assert (status.st_uid, status.st_gid) == owner


def test_closing_an_unused_session_gives_everything_back(export: Path) -> None:
    Client(str(export)).close()
