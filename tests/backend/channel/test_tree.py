"""Channels among the files of a share: found, listed, looked at, and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from backend.channel.listening import listen_all
from backend.channel.tree import ChannelTree
from backend.fileserver.files import NOBODY, Changes, Device, Owner
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.readiness import Readiness
from backend.fileserver.syscalls import NOW
from backend.share import Direction, NamedChannel
from protocol.ninep.directory import decode_entries

from ..fileserver.client import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backend.fileserver.files import Node


class Tree(ChannelTree):
    """With a channel ``qmp`` for both directions, and ``log`` from the guest."""

    def __init__(self, export: Path, sockets: Path) -> None:
        channels = [
            NamedChannel("qmp", str(sockets / "qmp")),
            NamedChannel("log", str(sockets / "log"), Direction.FROM_GUEST),
        ]
        self.readiness = Readiness()
        super().__init__(LocalTree(str(export)), channels, listen_all(channels), self.readiness)
        self.qmp = self.lookup(self.root, b"qmp")
        self.file = self.create(self.root, b"file", os.O_RDWR, 0o644, NOBODY)

    def close(self) -> None:
        self.qmp.release()
        self.file[0].release()
        self.file[1].close()
        super().close()
        self.readiness.close()


@pytest.fixture
def tree(export: Path, sockets: Path) -> Iterator[Tree]:
    (export / "dir").mkdir()
    tree = Tree(export, sockets)
    yield tree
    tree.close()


def test_it_is_a_regular_file_of_no_size_that_nobody_caches(tree: Tree) -> None:
    qid, status = tree.getattr(tree.qmp)
    assert (qid, tree.qmp.kind) == (tree.qmp.qid, stat.S_IFREG)
    assert qid.version == 0
    assert (status.st_mode, status.st_size, status.st_nlink) == (stat.S_IFREG | 0o600, 0, 1)
    log = tree.lookup(tree.root, b"log")
    assert tree.getattr(log)[1].st_mode == stat.S_IFREG | 0o200
    assert log.qid.path != qid.path
    log.release()


def test_its_qid_is_nobody_elses(tree: Tree) -> None:
    others = {tree.root.qid.path, tree.file[0].qid.path}
    assert tree.qmp.qid.path not in others
    assert tree.qmp.qid.path < 1 << 64


def test_it_is_in_the_root_only(tree: Tree) -> None:
    below = tree.lookup(tree.root, b"dir")
    with refused(errno.ENOENT):
        tree.lookup(below, b"qmp")
    below.release()


def names(data: bytes) -> list[bytes]:
    return [entry.name for entry in decode_entries(data)]


def test_the_root_lists_channels_after_its_files(tree: Tree) -> None:
    root = tree.open(tree.root, os.O_RDONLY)
    listed = list(root.entries(0))
    assert {entry.name for entry in listed} == {b".", b"..", b"dir", b"file", b"qmp", b"log"}
    assert [entry.name for entry in listed[-2:]] == [b"qmp", b"log"]
    assert all(0 < entry.offset < 1 << 63 for entry in listed)
    for number, entry in enumerate(listed, 1):
        rest = [each.name for each in listed[number:]]
        assert [each.name for each in root.entries(entry.offset)] == rest
    first = root.pack_entries(0, 4096)
    assert sorted(names(first)) == [b".", b"..", b"dir", b"file"]
    second = root.pack_entries(decode_entries(first)[-1].offset, 4096)
    assert names(second) == [b"qmp", b"log"]
    for entry in decode_entries(second):
        assert (
            names(root.pack_entries(entry.offset, 4096))
            == names(second)[names(second).index(entry.name) + 1 :]
        )
    root.close()


def test_other_directories_list_none(tree: Tree) -> None:
    below = tree.lookup(tree.root, b"dir")
    directory = tree.open(below, os.O_RDONLY)
    assert {entry.name for entry in directory.entries(0)} == {b".", b".."}
    directory.close()
    below.release()


@pytest.mark.parametrize(
    ("code", "attempt"),
    [
        (errno.EEXIST, lambda t: t.create(t.root, b"qmp", os.O_RDWR, 0o644, NOBODY)),
        (errno.EEXIST, lambda t: t.create_unnamed(t.root, b"qmp", os.O_RDWR, 0o644, NOBODY)),
        (errno.EEXIST, lambda t: t.publish(t.file[0], t.root, b"qmp")),
        (errno.EEXIST, lambda t: t.mkdir(t.root, b"qmp", 0o755, NOBODY)),
        (errno.EEXIST, lambda t: t.symlink(t.root, b"qmp", b"x", NOBODY)),
        (errno.EEXIST, lambda t: t.mknod(t.root, b"qmp", stat.S_IFIFO, Device(0, 0), NOBODY)),
        (errno.EEXIST, lambda t: t.link(t.file[0], t.root, b"qmp")),
        (errno.EPERM, lambda t: t.link(t.qmp, t.root, b"new")),
        (errno.EPERM, lambda t: t.unlink(t.root, b"qmp", directory=False)),
        (errno.EPERM, lambda t: t.rename(t.root, b"qmp", t.root, b"new")),
        (errno.EPERM, lambda t: t.rename(t.root, b"file", t.root, b"qmp")),
        (errno.ENOTDIR, lambda t: t.lookup(t.qmp, b"x")),
        (errno.ENOTDIR, lambda t: t.parent(t.qmp)),
        (errno.ENOTDIR, lambda t: t.mkdir(t.qmp, b"x", 0o755, NOBODY)),
        (errno.ENOTDIR, lambda t: t.unlink(t.qmp, b"x", directory=True)),
        (errno.EINVAL, lambda t: t.readlink(t.qmp)),
        (errno.EOPNOTSUPP, lambda t: t.open_for_locks(t.qmp, os.O_RDWR)),
        (errno.EPERM, lambda t: t.setattr(t.qmp, None, Changes(mode=0o777))),
        (errno.EPERM, lambda t: t.setattr(t.qmp, None, Changes(owner=Owner(1, -1)))),
        (errno.EINVAL, lambda t: t.setattr(t.qmp, None, Changes(size=1))),
        (errno.ENODATA, lambda t: t.xattr_get(t.qmp, b"security.capability")),
        (errno.EPERM, lambda t: t.xattr_set(t.qmp, b"user.x", b"", 0)),
        (errno.ENODATA, lambda t: t.xattr_remove(t.qmp, b"user.x")),
    ],
)
def test_what_cannot_be_done_to_it(
    tree: Tree, code: int, attempt: Callable[[Tree], object]
) -> None:
    with refused(code):
        attempt(tree)


def test_what_changes_nothing(tree: Tree) -> None:
    tree.setattr(tree.qmp, None, Changes(size=0, mtime=NOW, atime=NOW, touch=True))
    assert tree.xattr_list(tree.qmp) == []
    assert tree.xattr_values(tree.qmp, [b"user.x"]) == [None]
    found, root = tree.statfs(tree.qmp), tree.statfs(tree.root)
    assert (found.fsid, found.blocks, found.namelen) == (root.fsid, root.blocks, root.namelen)


def test_files_beside_it_are_files(tree: Tree, export: Path) -> None:
    node: Node = tree.file[0]
    tree.setattr(node, None, Changes(size=7))
    assert tree.getattr(node)[1].st_size == 7
    for made in (
        lambda: tree.mkdir(tree.root, b"new", 0o755, NOBODY),
        lambda: tree.symlink(tree.root, b"link", b"x", NOBODY),
        lambda: tree.mknod(tree.root, b"fifo", stat.S_IFIFO | 0o600, Device(0, 0), NOBODY),
        lambda: tree.link(node, tree.root, b"hard"),
        lambda: tree.rename(tree.root, b"hard", tree.root, b"moved"),
        lambda: tree.unlink(tree.root, b"moved", directory=False),
    ):
        made()
    link = tree.lookup(tree.root, b"link")
    assert tree.readlink(link) == b"x"
    link.release()
    assert (tree.xattr_list(node), tree.xattr_values(node, [])) == ([], [])
    with refused(errno.ENODATA):
        tree.xattr_get(node, b"user.x")
    with refused(errno.ENODATA):
        tree.xattr_remove(node, b"user.x")
    unnamed, file = tree.create_unnamed(tree.root, b"later", os.O_RDWR, 0o600, NOBODY)
    tree.publish(unnamed, tree.root, b"later")
    file.close()
    unnamed.release()
    locks = tree.open_for_locks(node, os.O_RDWR)
    locks.close()
    assert {each.name for each in export.iterdir()} == {
        "dir",
        "file",
        "new",
        "link",
        "fifo",
        "later",
    }
