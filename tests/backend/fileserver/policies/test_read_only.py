"""Read only: the same errno for everything as a read-only mount of Linux."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backend.fileserver.files import NOBODY, Changes, Device, File, Node, Owner
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.read_only import ReadOnlyTree
from backend.fileserver.syscalls import Timespec
from protocol.ninep.flags import DOTL_CREATE, DOTL_RDONLY, DOTL_RDWR
from tests.backend.fileserver.client import Client, refused, unprivileged
from tests.backend.fileserver.policies.read_only_mount import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLD = 1_000_000_000 * 10**9
"""A time of last access in nanoseconds, so old that any read would renew it (``relatime``)."""


@pytest.fixture
def folder(export: Path) -> Path:
    (export / "file").write_bytes(b"data")
    (export / "dir").mkdir()
    (export / "link").symlink_to("file")
    return export


@pytest.fixture
def tree(folder: Path) -> Iterator[ReadOnlyTree]:
    tree = ReadOnlyTree(LocalTree(str(folder)))
    yield tree
    tree.close()


def contents(folder: Path) -> dict[str, Any]:
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns)
        for path in [folder, *folder.rglob("*")]
    }


class Attempts:
    """The operations of ``read_only_mount.py`` on a tree: walk first, as a client must."""

    def __init__(self, tree: ReadOnlyTree) -> None:
        self.tree = tree

    def at(self, name: str) -> Node:
        return self.tree.lookup(self.tree.root, name.encode())

    def on(self, name: str, what: Callable[[Node], Any]) -> Any:
        node = self.at(name)
        try:
            return what(node)
        finally:
            node.release()

    def open(self, name: str, flags: int) -> None:
        self.on(name, lambda node: self.tree.open(node, flags).close())

    def create(self, name: str, flags: int) -> None:
        node, file = self.tree.create(self.tree.root, name.encode(), flags, 0o600, NOBODY)
        node.release()
        file.close()

    def set(self, name: str, changes: Changes) -> None:
        self.on(name, lambda node: self.tree.setattr(node, None, changes))

    def all(self) -> dict[str, Callable[[], Any]]:
        tree, root, on = self.tree, self.tree.root, self.on
        read, write = os.O_RDONLY, os.O_WRONLY
        fifo = stat.S_IFIFO | 0o600
        return {
            "open to read": lambda: self.open("file", read),
            "open to write": lambda: self.open("file", write),
            "open to read, truncating": lambda: self.open("file", read | os.O_TRUNC),
            "open directory to write": lambda: self.open("dir", write),
            "create": lambda: self.create("new", write),
            "create to read": lambda: self.create("new", read),
            "create existing to read": lambda: self.create("file", read),
            "create existing to write": lambda: self.create("file", write),
            "create existing exclusively": lambda: self.create("file", write | os.O_EXCL),
            "create existing directory": lambda: self.create("dir", read),
            "create below a file": lambda: on(
                "file", lambda node: tree.create(node, b"new", write, 0o600, NOBODY)
            ),
            "mkdir": lambda: tree.mkdir(root, b"new", 0o755, NOBODY),
            "mkdir existing": lambda: tree.mkdir(root, b"file", 0o755, NOBODY),
            "mkdir below a file": lambda: on(
                "file", lambda node: tree.mkdir(node, b"new", 0o755, NOBODY)
            ),
            "symlink": lambda: tree.symlink(root, b"new", b"target", NOBODY),
            "symlink existing": lambda: tree.symlink(root, b"dir", b"target", NOBODY),
            "mknod": lambda: tree.mknod(root, b"new", fifo, Device(0, 0), NOBODY),
            "mknod existing": lambda: tree.mknod(root, b"file", fifo, Device(0, 0), NOBODY),
            "link": lambda: on("file", lambda node: tree.link(node, root, b"new")),
            "link existing": lambda: on("file", lambda node: tree.link(node, root, b"dir")),
            "unlink": lambda: tree.unlink(root, b"file", directory=False),
            "unlink missing": lambda: tree.unlink(root, b"new", directory=False),
            "unlink directory": lambda: tree.unlink(root, b"dir", directory=False),
            "unlink below a file": lambda: on(
                "file", lambda node: tree.unlink(node, b"new", directory=False)
            ),
            "rmdir": lambda: tree.unlink(root, b"dir", directory=True),
            "rmdir file": lambda: tree.unlink(root, b"file", directory=True),
            "rename": lambda: tree.rename(root, b"file", root, b"new"),
            "rename missing": lambda: tree.rename(root, b"new", root, b"file"),
            "rename into a file": lambda: on(
                "file", lambda node: tree.rename(root, b"file", node, b"new")
            ),
            "chmod": lambda: self.set("file", Changes(mode=0o600)),
            "chown": lambda: self.set("file", Changes(owner=Owner(0, 0))),
            "utime": lambda: self.set("file", Changes(mtime=Timespec(1, 0))),
            "truncate": lambda: self.set("file", Changes(size=0)),
            "truncate directory": lambda: self.set("dir", Changes(size=0)),
            "setxattr": lambda: on("file", lambda node: tree.xattr_set(node, b"user.a", b"1", 0)),
            "removexattr": lambda: on("file", lambda node: tree.xattr_remove(node, b"user.none")),
            "getxattr": lambda: on("file", lambda node: tree.xattr_get(node, b"user.none")),
            "readlink": lambda: on("link", tree.readlink),
            "readlink file": lambda: on("file", tree.readlink),
        }


def answer(attempt: Callable[[], Any]) -> int:
    try:
        attempt()
    except OSError as error:
        return error.errno or 0
    return 0


def test_everything_is_answered_as_a_read_only_mount_answers(
    tree: ReadOnlyTree, folder: Path
) -> None:
    script = Path(__file__).with_name("read_only_mount.py")
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, script, folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no user and mount namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    expected = json.loads(done.stdout)
    before = contents(folder)
    answers = {name: answer(attempt) for name, attempt in Attempts(tree).all().items()}
    assert list(answers) == list(OPERATIONS)
    named = errno.errorcode
    assert {name: named.get(code) for name, code in answers.items()} == {
        name: named.get(code) for name, code in expected.items()
    }
    assert expected["mkdir"] == errno.EROFS
    assert contents(folder) == before


def test_reading_goes_on_and_leaves_access_times_alone(folder: Path) -> None:
    os.utime(folder / "file", ns=(OLD, OLD))
    os.utime(folder / "dir", ns=(OLD, OLD))
    client = Client(str(folder), wrap=ReadOnlyTree)
    client.mount()
    assert client.read(client.open(b"file"), 9) == b"data"
    assert client.names() == {b"file", b"dir", b"link"}
    assert client.names(b"dir") == set()
    assert client.statfs().bsize
    with refused(errno.EROFS):
        client.create(b"new")
    with refused(errno.EROFS):
        client.open(b"file", flags=DOTL_RDWR)
    fid = client.create(b"file", DOTL_RDONLY | DOTL_CREATE)
    with refused(errno.EBADF):
        client.write(fid, b"x")
    client.setattr(fid, 0)
    with refused(errno.EROFS):
        client.truncate(fid, 0)
    client.close()
    for name in ("file", "dir"):
        assert (folder / name).stat().st_atime_ns == OLD


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another owner")
def test_whoever_may_not_keep_the_access_time_reads_all_the_same(folder: Path) -> None:
    tree = ReadOnlyTree(LocalTree(str(folder)))
    node = tree.lookup(tree.root, b"file")
    with unprivileged():
        file: File = tree.open(node, os.O_RDONLY)
    data = bytearray(9)
    assert file.read([memoryview(data)], 0) == 4
    file.close()
    (folder / "file").chmod(0)
    with unprivileged(), refused(errno.EACCES):
        tree.open(node, os.O_RDONLY)
    node.release()
    tree.close()
