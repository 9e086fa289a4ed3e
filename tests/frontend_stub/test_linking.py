"""Links, special files and attributes, on diod and on the server of this project."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.testbed import Testbed

GUEST = Domid(7)


@pytest.fixture
def ours(bed: Testbed, tree: Path) -> Iterator[Share]:
    """A share of ``tree`` over rings."""
    bed.guest(GUEST, tree, tag="share")
    with Share.attach(connect_device(bed.platform, GUEST, tag="share")) as share:
        yield share


@pytest.fixture(params=["diod", "ours"])
def either(request: pytest.FixtureRequest) -> Share:
    share: Share = request.getfixturevalue("share" if request.param == "diod" else "ours")
    return share


@contextmanager
def refused(code: int, path: str) -> Iterator[None]:
    with pytest.raises(OSError, match=r".") as caught:
        yield
    assert (caught.value.errno, caught.value.filename) == (code, path)


def test_symbolic_links(either: Share, tree: Path) -> None:
    (tree / "dir").mkdir()
    either.symlink("../elsewhere", "dir/link")
    assert (tree / "dir/link").readlink().as_posix() == "../elsewhere"
    assert either.readlink("dir/link") == "../elsewhere"
    either.symlink(b"\xff", b"\xfe")
    assert os.fsencode(either.readlink(b"\xfe")) == b"\xff"
    with refused(errno.EEXIST, "dir/link"):
        either.symlink("x", "dir/link")
    with refused(errno.EINVAL, "dir"):
        either.readlink("dir")
    with refused(errno.ENOENT, "none"):
        either.readlink("none")


def test_hard_links(either: Share, tree: Path) -> None:
    (tree / "file").write_bytes(b"data")
    (tree / "dir").mkdir()
    either.link("file", "dir/twin")
    assert (tree / "dir/twin").samefile(tree / "file")
    assert either.stat("file").nlink == 2
    with refused(errno.EEXIST, "file -> dir/twin"):
        either.link("file", "dir/twin")
    with refused(errno.EPERM, "dir -> other"):
        either.link("dir", "other")


def test_special_files(either: Share, tree: Path) -> None:
    either.mknod("fifo", stat.S_IFIFO | 0o600)
    either.mknod("socket", stat.S_IFSOCK | 0o600)
    assert stat.S_ISFIFO((tree / "fifo").lstat().st_mode)
    assert stat.S_ISSOCK((tree / "socket").lstat().st_mode)
    assert either.stat("fifo").mode == stat.S_IFIFO | 0o600
    with refused(errno.EEXIST, "fifo"):
        either.mknod("fifo", stat.S_IFIFO | 0o600)


def test_no_devices_and_plain_files_by_mknod(ours: Share, tree: Path) -> None:
    ours.mknod("plain")
    assert (tree / "plain").is_file()
    with refused(errno.EPERM, "null"):
        ours.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))


def test_an_open_file_is_renamed_wherever_it_is(ours: Share, tree: Path) -> None:
    (tree / "dir").mkdir()
    (tree / "dir/old").write_bytes(b"old")
    with ours.open("file", os.O_RDWR | os.O_CREAT) as file:
        ours.rename("file", "meanwhile")
        ours.rename_file(file, "dir/old")
        file.pwrite(b"new", 0)
        ours.remove("dir/old")
        with refused(errno.ENOENT, "file -> back"):
            ours.rename_file(file, "back")
    assert os.listdir(tree) == ["dir"]
    assert os.listdir(tree / "dir") == []


@pytest.mark.usefixtures("user_attributes")
def test_extended_attributes(ours: Share, tree: Path) -> None:
    (tree / "file").write_bytes(b"data")
    big = bytes(range(256)) * 12
    ours.setxattr("file", "user.big", big)
    ours.setxattr("file", "user.empty", b"")
    assert os.getxattr(tree / "file", "user.big") == big
    assert ours.getxattr("file", "user.big") == big
    assert ours.getxattr("file", b"user.empty") == b""
    assert ours.listxattr("file") == ["user.big", "user.empty"]
    assert ours.listxattr() == []
    ours.setxattr("file", "user.big", b"small", os.XATTR_REPLACE)
    assert os.getxattr(tree / "file", "user.big") == b"small"
    with refused(errno.EEXIST, "file"):
        ours.setxattr("file", "user.big", b"", os.XATTR_CREATE)
    ours.removexattr("file", "user.empty")
    assert os.listxattr(tree / "file") == ["user.big"]
    with refused(errno.ENODATA, "file"):
        ours.removexattr("file", "user.empty")
    with refused(errno.EOPNOTSUPP, "file"):
        ours.getxattr("file", "security.capability")
    with refused(errno.E2BIG, "file"):
        ours.setxattr("file", "user.too-big", bytes(65537))
    assert ours.client.fids.in_use == 1
