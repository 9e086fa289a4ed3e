"""Txattrwalk and Txattrcreate: bounded values, exact offsets, and nothing set by halves."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.limits import Limits, Slots
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.xattrs import MAX_NAME, MAX_VALUE
from protocol.ninep.flags import (
    DOTL_DIRECTORY,
    DOTL_RDWR,
    SETATTR_SIZE,
    XATTR_CREATE,
    XATTR_REPLACE,
)
from protocol.ninep.ids import NOFID, Fid
from protocol.ninep.messages import (
    Tfsync,
    Tlopen,
    Tversion,
    Twalk,
    Txattrcreate,
    Txattrwalk,
)

from .client import ROOT, TAG, Client, outcome, refused
from .wrapping import WrappedTree

if TYPE_CHECKING:
    from pathlib import Path

    from backend.fileserver.files import Node


@pytest.fixture
def file(export: Path) -> Path:
    """In it ``user.a`` is ``value``; skipped where the file system has no user attributes."""
    path = export / "file"
    path.write_bytes(b"data")
    try:
        os.setxattr(path, "user.a", b"value")
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("the file system of the test's directory has no user attributes")
        raise
    return path


def begin(client: Client, name: bytes, size: int, flags: int = 0) -> Fid:
    fid = client.walk(b"file")
    client.call(Txattrcreate(TAG, fid, name, size, flags))
    return fid


def test_a_value_is_read_in_any_pieces(client: Client, file: Path) -> None:
    fid, size = client.xattr_fid(client.walk(b"file"), b"user.a")
    assert size == 5
    assert client.read(fid, 2) == b"va"
    assert client.read(fid, 9, offset=2, split=1) == b"lue"
    assert client.read(fid, 9, offset=4, split=4) == b"e"
    for offset in (5, 6, 1 << 31, 1 << 63, (1 << 64) - 1):
        assert client.read(fid, 9, offset=offset) == b""
    os.removexattr(file, "user.a")
    assert client.read(fid, 9) == b"value"


def test_the_list_holds_the_users_names_and_no_others(client: Client, file: Path) -> None:
    os.setxattr(file, "user.b", b"")
    if os.geteuid() == 0:
        os.setxattr(file, "trusted.c", b"")
    names = client.getxattr(client.walk(b"file"))
    assert sorted(names.split(b"\0")) == [b"", b"user.a", b"user.b"]
    os.removexattr(file, "user.a")
    os.removexattr(file, "user.b")
    assert client.getxattr(client.walk(b"file")) == b""


@pytest.mark.parametrize("name", ["user.a", "user.b"])
@pytest.mark.parametrize("flags", [0, XATTR_CREATE, XATTR_REPLACE, XATTR_CREATE | XATTR_REPLACE])
@pytest.mark.parametrize("value", [b"new", b"", bytes(range(256))])
def test_set_does_what_setxattr_does(
    client: Client, file: Path, name: str, flags: int, value: bytes
) -> None:
    plain = file.with_name("plain")
    plain.touch()
    os.setxattr(plain, "user.a", b"value")

    def asked() -> None:
        if flags == XATTR_REPLACE and not value:  # how Linux asks for a removal
            os.removexattr(plain, name)
        else:
            os.setxattr(plain, name, value, flags)

    allowed = (errno.EEXIST, errno.ENODATA)
    expected, _none = outcome(asked, *allowed)
    code, _none = outcome(
        lambda: client.setxattr(client.walk(b"file"), name.encode(), value, flags), *allowed
    )
    assert code == expected
    attributes = [{each: os.getxattr(f, each) for each in os.listxattr(f)} for f in (file, plain)]
    assert attributes[0] == attributes[1]


def test_remove(client: Client, file: Path) -> None:
    client.removexattr(client.walk(b"file"), b"user.a")
    assert os.listxattr(file) == []
    with refused(errno.ENODATA):
        client.removexattr(client.walk(b"file"), b"user.a")


def test_nothing_is_set_before_the_clunk(client: Client, file: Path) -> None:
    fid = begin(client, b"user.a", 6)
    client.write(fid, b"abc")
    client.write(fid, b"def", offset=3)
    client.write(fid, b"BC", offset=1)  # again, as after a lost answer
    assert os.getxattr(file, "user.a") == b"value"
    client.clunk(fid)
    assert os.getxattr(file, "user.a") == b"aBCdef"


@pytest.mark.parametrize("written", [0, 1, 5])
def test_an_incomplete_value_is_an_error_and_not_set(
    client: Client, file: Path, written: int
) -> None:
    fid = begin(client, b"user.a", 6)
    client.write(fid, b"x" * written)
    with refused(errno.EINVAL):
        client.clunk(fid)
    assert client.in_use() == {ROOT}
    assert os.getxattr(file, "user.a") == b"value"


@pytest.mark.parametrize(
    ("count", "offset", "code"),
    [
        (7, 0, errno.ENOSPC),
        (1, 6, errno.ENOSPC),
        (3, 4, errno.ENOSPC),
        (1, 1 << 31, errno.ENOSPC),
        (1, (1 << 64) - 1, errno.ENOSPC),
        (0, (1 << 64) - 1, errno.ENOSPC),
        (1, 3, errno.EINVAL),
    ],
)
def test_no_byte_goes_where_none_was_announced(
    client: Client, file: Path, count: int, offset: int, code: int
) -> None:
    fid = begin(client, b"user.a", 6)
    client.write(fid, b"ab")
    with refused(code):
        client.write(fid, b"x" * count, offset)
    client.write(fid, b"cdef", 2)
    client.clunk(fid)
    assert os.getxattr(file, "user.a") == b"abcdef"


@pytest.mark.usefixtures("file")
def test_such_fids_can_be_used_for_nothing_else(client: Client) -> None:
    reader, _size = client.xattr_fid(client.walk(b"file"), b"user.a")
    writer = begin(client, b"user.b", 1)
    with refused(errno.EBADF):
        client.write(reader, b"x")
    with refused(errno.EBADF):
        client.read(writer, 1)
    for fid in (reader, writer):
        for request, code in [
            (Tlopen(TAG, fid, DOTL_RDWR), errno.EINVAL),
            (Txattrcreate(TAG, fid, b"user.c", 1, 0), errno.EINVAL),
            (Txattrwalk(TAG, fid, fid, b""), errno.EBUSY),
            (Twalk(TAG, fid, fid, (b"x",)), errno.EINVAL),
            (Tfsync(TAG, fid, 0), errno.EBADF),
        ]:
            with refused(code):
                client.call(request)
        with refused(errno.EBADF):
            client.readdir(fid)
        # They stand for the file all the same, as any fid.
        client.setattr(fid, SETATTR_SIZE, size=3)
        assert client.getattr(client.walk(fid=fid)).size == 3
    client.write(writer, b"x")
    client.clunk(writer)
    assert client.getxattr(reader, b"user.b") == b"x"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"user.missing", errno.ENODATA),
        (b"security.capability", errno.EOPNOTSUPP),
        (b"system.posix_acl_access", errno.EOPNOTSUPP),
        (b"trusted.overlay.opaque", errno.EOPNOTSUPP),
        (b"nonsense", errno.EOPNOTSUPP),
        (b"user.a\0", errno.EINVAL),
        (b"user." + b"x" * MAX_NAME, errno.ERANGE),
    ],
)
@pytest.mark.usefixtures("file")
def test_walk_refused(client: Client, name: bytes, code: int) -> None:
    fid = client.walk(b"file")
    with refused(code):
        client.xattr_fid(fid, name)
    for request, number in [
        (Txattrwalk(TAG, Fid(99), Fid(90), b"user.a"), errno.EBADF),
        (Txattrwalk(TAG, fid, NOFID, b"user.a"), errno.EBADF),
        (Txattrwalk(TAG, fid, fid, b"user.a"), errno.EBUSY),
    ]:
        with refused(number):
            client.call(request)
    assert client.in_use() == {ROOT, fid}


@pytest.mark.parametrize(
    ("name", "size", "flags", "code"),
    [
        (b"", 1, 0, errno.ERANGE),
        (b"user." + b"x" * MAX_NAME, 1, 0, errno.ERANGE),
        (b"user.a\0", 1, 0, errno.EINVAL),
        (b"user.b", 1, 4, errno.EINVAL),
        (b"user.b", 1, 0xFFFF_FFFF, errno.EINVAL),
        (b"user.b", MAX_VALUE + 1, 0, errno.E2BIG),
        (b"user.b", (1 << 64) - 1, 0, errno.E2BIG),
    ],
)
@pytest.mark.usefixtures("file")
def test_create_refused(client: Client, name: bytes, size: int, flags: int, code: int) -> None:
    fid = client.walk(b"file")
    with refused(code):
        client.call(Txattrcreate(TAG, fid, name, size, flags))
    with refused(errno.EBADF):
        client.call(Txattrcreate(TAG, Fid(99), b"user.b", 1, 0))
    client.call(Tlopen(TAG, fid, DOTL_RDWR))
    with refused(errno.EINVAL):
        client.call(Txattrcreate(TAG, fid, b"user.b", 1, 0))
    assert client.read(fid, 9) == b"data"


@pytest.mark.parametrize(
    "name", [b"security.capability", b"system.posix_acl_access", b"trusted.x", b"nonsense"]
)
def test_what_steers_dom0s_kernel_is_not_set(client: Client, file: Path, name: bytes) -> None:
    for value, flags in [(b"x", 0), (b"", XATTR_REPLACE)]:
        with refused(errno.EOPNOTSUPP):
            client.setxattr(client.walk(b"file"), name, value, flags)
    assert os.listxattr(file) == ["user.a"]


def test_several_values_come_at_once(client: Client, export: Path, file: Path) -> None:
    os.setxattr(file, "user.b", b"")
    os.mkfifo(export / "fifo")
    for name, values in [(b"file", [b"value", b"", None, None]), (b"fifo", [None] * 4)]:
        node = client.session.fids[client.walk(name)].node
        names = [b"user.a", b"user.b", b"user.c", b"security.capability"]
        assert client.local.xattr_values(node, names) == values


def test_a_file_system_without_attributes_says_so() -> None:
    tree = LocalTree("/proc/self")
    with refused(errno.EOPNOTSUPP):
        tree.xattr_values(tree.root, [b"user.a"])
    tree.close()


def test_links_and_special_files_have_none(client: Client, export: Path, file: Path) -> None:
    client.symlink(b"link", b"file")
    client.mknod(b"fifo", stat.S_IFIFO | 0o600)
    for name in (b"link", b"fifo"):
        fid = client.walk(name)
        assert client.getxattr(fid) == b""
        with refused(errno.ENODATA):
            client.getxattr(fid, b"user.a")
        with refused(errno.EPERM):
            client.setxattr(fid, b"user.a", b"x")
        with refused(errno.EPERM):
            client.removexattr(fid, b"user.a")
    assert os.getxattr(file, "user.a") == b"value"
    assert stat.S_ISFIFO((export / "fifo").lstat().st_mode)


def test_directories_and_unlinked_files_have_them(client: Client, file: Path) -> None:
    opened = client.open(b"file", flags=DOTL_RDWR)
    directory = client.open(flags=DOTL_DIRECTORY)
    file.unlink()
    file.write_bytes(b"another")
    client.setxattr(opened, b"user.a", b"open wins")
    assert client.getxattr(opened, b"user.a") == b"open wins"
    assert os.listxattr(file) == []
    client.setxattr(directory, b"user.d", b"x")
    assert os.getxattr(file.parent, "user.d") == b"x"


@pytest.mark.usefixtures("file")
def test_values_held_are_bounded_and_the_bound_gives_way(export: Path) -> None:
    limits = Limits(xattr_bytes=Slots("bytes of extended attributes", 12))
    client = Client(str(export), limits)
    client.mount()
    fid = client.walk(b"file")
    reader, _size = client.xattr_fid(fid, b"user.a")
    writer = client.walk(b"file")
    client.call(Txattrcreate(TAG, writer, b"user.b", 5, 0))
    for attempt in (
        lambda: client.xattr_fid(fid, b"user.a"),
        lambda: client.xattr_fid(fid),
        lambda: client.call(Txattrcreate(TAG, fid, b"user.c", 3, 0)),
    ):
        with refused(errno.EMFILE):
            attempt()
    assert client.in_use() == {ROOT, fid, reader, writer}
    client.clunk(reader)
    client.call(Txattrcreate(TAG, fid, b"user.c", 3, 0))
    with refused(errno.EINVAL):
        client.clunk(fid)
    client.write(writer, b"12345")
    client.call(Tversion(TAG, 8192, b"9P2000.L"))  # nobody clunked it, so it is not set
    assert os.listxattr(export / "file") == ["user.a"]
    assert limits.xattr_bytes.used == 0
    client.close()


class ManyNames(WrappedTree):
    def xattr_list(self, node: Node) -> list[bytes]:  # noqa: ARG002 -- as Tree has it
        return [b"user.%059d" % number for number in range(MAX_VALUE // 65 + 1)]


def test_a_list_that_no_kernel_would_take_is_refused(export: Path) -> None:
    client = Client(str(export), wrap=ManyNames)
    client.mount()
    with refused(errno.E2BIG):
        client.xattr_fid(ROOT)
    assert client.in_use() == {ROOT}
    client.close()


def test_a_value_that_was_not_clunked_is_not_set(client: Client, export: Path) -> None:
    (export / "file").touch()
    fid = client.walk(b"file")
    client.call(Txattrcreate(TAG, fid, b"user.a", 5, 0))
    client.write(fid, b"whole")
    client.mount()
    assert os.listxattr(export / "file") == []
