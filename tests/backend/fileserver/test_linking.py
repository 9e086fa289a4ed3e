"""Tsymlink, Treadlink, Tmknod, Tlink: whatever the target says, nobody here follows it."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.linking import MAX_RREADLINK, MAX_TARGET
from protocol.ninep.flags import DOTL_DIRECTORY, DOTL_RDWR, QTFILE, QTSYMLINK, SETATTR_MODE
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Tlink, Tmknod, Treadlink, Tsymlink

from .client import BAD_NAMES, ROOT, TAG, Client, refused
from .wrapping import WrappedTree

if TYPE_CHECKING:
    from pathlib import Path

    from backend.fileserver.files import Node

REFUSED_NAMES = [*BAD_NAMES, (b"file", errno.EEXIST), (b"there", errno.EEXIST)]
EVERY_BYTE = bytes(range(1, 256))


@pytest.fixture(autouse=True)
def tree(export: Path) -> Path:
    (export / "file").write_bytes(b"data")
    (export / "dir").mkdir()
    (export / "there").symlink_to("../secret")
    return export


@pytest.mark.parametrize(
    "target", [b"file", b"/etc/passwd", b"../../..", b".", b"a//b/", EVERY_BYTE, b"t" * MAX_TARGET]
)
def test_a_link_says_what_was_written_into_it(client: Client, tree: Path, target: bytes) -> None:
    qid = client.symlink(b"link", target)
    assert (qid.type, qid.path) == (QTSYMLINK, (tree / "link").lstat().st_ino)
    assert os.readlink(os.fsencode(tree / "link")) == target
    fid = client.walk(b"link")
    assert client.readlink(fid) == target
    assert client.getattr(fid).size == len(target)
    client.unlink(b"link")
    assert client.readlink(fid) == target


def test_links_are_made_in_open_directories(client: Client, tree: Path) -> None:
    client.symlink(b"link", b"x", fid=client.open(b"dir", flags=DOTL_DIRECTORY))
    assert (tree / "dir/link").readlink().as_posix() == "x"


@pytest.mark.parametrize(
    ("name", "target", "code"),
    [
        (b"new", b"", errno.ENOENT),
        (b"new", b"nul\0", errno.EINVAL),
        (b"new", b"t" * (MAX_TARGET + 1), errno.ENAMETOOLONG),
        (b"new", b"t" * 65535, errno.ENAMETOOLONG),
        *((name, b"target", code) for name, code in REFUSED_NAMES),
    ],
)
def test_symlink_refused(client: Client, tree: Path, name: bytes, target: bytes, code: int) -> None:
    with refused(code):
        client.symlink(name, target)
    with refused(errno.ENOTDIR):
        client.symlink(b"new", b"x", fid=client.walk(b"file"))
    with refused(errno.EBADF):
        client.call(Tsymlink(TAG, Fid(99), b"new", b"x", 0))
    assert {path.name for path in tree.iterdir()} == {"file", "dir", "there"}


def test_only_links_can_be_read_as_links(client: Client) -> None:
    client.mknod(b"fifo", stat.S_IFIFO | 0o600)
    for names in [(), (b"file",), (b"fifo",)]:
        with refused(errno.EINVAL):
            client.readlink(client.walk(*names))
    with refused(errno.EBADF):
        client.call(Treadlink(TAG, Fid(99)))


class LongLinks(WrappedTree):
    """Keeps targets elsewhere than in a link, so that they may be longer."""

    def readlink(self, node: Node) -> bytes:
        return super().readlink(node) * 1000


def test_a_target_that_fits_no_message_is_refused(export: Path) -> None:
    (export / "link").symlink_to("t" * 8)
    client = Client(str(export), wrap=LongLinks)
    client.mount()
    assert client.readlink(client.walk(b"link")) == b"t" * 8000
    (export / "long").symlink_to("t" * 9)
    (export / "longest").symlink_to("t" * MAX_TARGET)
    for name in (b"long", b"longest"):
        with refused(errno.ENAMETOOLONG):
            client.readlink(client.walk(name))
    client.session.msize = 4096
    with refused(errno.ENAMETOOLONG):
        client.readlink(client.walk(b"link"))
    assert 9000 + 9 > MAX_RREADLINK > 8000 + 9
    client.close()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFIFO | 0o640, stat.S_IFIFO),
        (stat.S_IFSOCK | 0o755, stat.S_IFSOCK),
        (stat.S_IFREG | 0o4711, stat.S_IFREG),
        (0o600, stat.S_IFREG),
    ],
)
def test_mknod_makes_what_does_no_harm(client: Client, tree: Path, mode: int, kind: int) -> None:
    qid = client.mknod(b"node", mode, (7, 9))
    status = (tree / "node").lstat()
    assert (qid.type, qid.path) == (QTFILE, status.st_ino)
    assert status.st_mode == kind | stat.S_IMODE(mode)
    fid = client.walk(b"node")
    client.setattr(fid, SETATTR_MODE, mode=0o604)
    assert client.getattr(fid).mode == kind | 0o604
    if kind != stat.S_IFREG:
        with refused(errno.ENXIO):
            client.open(b"node", flags=DOTL_RDWR)
    client.rename(b"node", b"moved")
    client.remove(fid)
    assert not (tree / "moved").exists()


@pytest.mark.parametrize(
    ("name", "mode", "code"),
    [
        (b"new", stat.S_IFCHR | 0o666, errno.EPERM),
        (b"new", stat.S_IFBLK | 0o666, errno.EPERM),
        (b"new", stat.S_IFDIR | 0o755, errno.EPERM),
        (b"new", stat.S_IFLNK | 0o777, errno.EINVAL),
        (b"new", 0o170000, errno.EINVAL),
        *((name, stat.S_IFIFO | 0o600, code) for name, code in REFUSED_NAMES),
    ],
)
def test_mknod_refused(client: Client, tree: Path, name: bytes, mode: int, code: int) -> None:
    with refused(code):
        client.mknod(name, mode, (1, 3))
    with refused(errno.ENOTDIR):
        client.mknod(b"new", stat.S_IFIFO, fid=client.walk(b"file"))
    with refused(errno.EBADF):
        client.call(Tmknod(TAG, Fid(99), b"new", stat.S_IFIFO, 0, 0, 0))
    assert {path.name for path in tree.iterdir()} == {"file", "dir", "there"}


def test_a_link_is_one_more_name_of_the_very_file(client: Client, tree: Path) -> None:
    opened = client.open(b"file", flags=DOTL_RDWR)
    (tree / "file").rename(tree / "moved")
    (tree / "file").write_bytes(b"another")
    client.link(opened, b"twin", to=client.open(b"dir", flags=DOTL_DIRECTORY))
    assert (tree / "dir/twin").samefile(tree / "moved")
    assert client.getattr(opened).nlink == 2
    client.remove(client.walk(b"dir", b"twin"))
    assert client.getattr(opened).nlink == 1
    assert client.read(opened, 9) == b"data"


def test_links_and_special_files_get_more_names_themselves(client: Client, tree: Path) -> None:
    client.mknod(b"fifo", stat.S_IFIFO | 0o600)
    for name in (b"there", b"fifo"):
        client.link(client.walk(name), b"new")
        first, second = (tree / name.decode()).lstat(), (tree / "new").lstat()
        assert (first.st_ino, first.st_mode) == (second.st_ino, second.st_mode)
        client.unlink(b"new")


@pytest.mark.parametrize(("name", "code"), REFUSED_NAMES)
def test_link_refused(client: Client, tree: Path, name: bytes, code: int) -> None:
    fid = client.walk(b"file")
    with refused(code):
        client.link(fid, name)
    with refused(errno.EPERM):
        client.link(client.walk(b"dir"), b"new")
    with refused(errno.ENOTDIR):
        client.link(fid, b"new", to=fid)
    for request in (Tlink(TAG, Fid(99), fid, b"new"), Tlink(TAG, ROOT, Fid(99), b"new")):
        with refused(errno.EBADF):
            client.call(request)
    gone = client.create(b"gone")
    client.unlink(b"gone")
    with refused(errno.ENOENT):
        client.link(gone, b"back")
    assert {path.name for path in tree.iterdir()} == {"file", "dir", "there"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_new_names_belong_to_whom_the_guest_says(export: Path) -> None:
    client = Client(str(export))
    client.mount(n_uname=4000)
    client.call(Tsymlink(TAG, ROOT, b"link", b"x", 5000))
    client.call(Tmknod(TAG, ROOT, b"fifo", stat.S_IFIFO | 0o2755, 0, 0, 5000))
    for name in ("link", "fifo"):
        status = (export / name).lstat()
        assert (status.st_uid, status.st_gid) == (4000, 5000)
    assert (export / "fifo").lstat().st_mode == stat.S_IFIFO | 0o2755
    client.close()
