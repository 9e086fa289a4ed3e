"""Policies around a tree: what they refuse, hide and report reaches the guest."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, ClassVar

import pytest

from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.forwarding import ForwardingFile, ForwardingTree
from backend.fileserver.policies.sync_on_close import SyncOnCloseTree
from protocol.ninep.flags import DOTL_DIRECTORY, DOTL_RDWR

from .client import ROOT, Client, refused
from .wrapping import WrappedFile, WrappedTree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from backend.fileserver.files import File, Node
    from protocol.ninep.messages import Dirent


class ReadOnlyTree(WrappedTree):
    def open(self, node: Node, flags: int) -> File:
        if flags & (os.O_ACCMODE | os.O_TRUNC):
            raise OSError(errno.EROFS, "read-only")
        return super().open(node, flags)


class HidingFile(WrappedFile):
    def shows(self, name: bytes) -> bool:
        return not name.startswith(b"hidden")


class HidingTree(WrappedTree):
    def wrap(self, file: File) -> File:
        return HidingFile(file)


class FailingFile(WrappedFile):
    """Its directory has two entries that can be read."""

    def entries(self, cookie: int) -> Iterable[Dirent]:
        for entry in [*self.inner.entries(0)][:2]:
            if entry.offset > cookie:
                yield entry
        raise OSError(errno.EIO, "bad block")


class FailingTree(WrappedTree):
    def wrap(self, file: File) -> File:
        return FailingFile(file)


class CommittingFile(WrappedFile):
    """Its content is to become visible on close, and that fails."""

    def close(self) -> None:
        super().close()
        raise OSError(errno.ENOSPC, "no room to commit")


class CommittingTree(WrappedTree):
    def wrap(self, file: File) -> File:
        return CommittingFile(file)


def test_a_policy_refuses_and_the_guest_is_told(export: Path) -> None:
    (export / "file").write_bytes(b"data")
    client = Client(str(export), wrap=ReadOnlyTree)
    client.mount()
    with refused(errno.EROFS):
        client.open(b"file", flags=DOTL_RDWR)
    assert client.read(client.open(b"file"), 9) == b"data"
    client.close()


@pytest.mark.parametrize("room", [60, 1 << 16])
def test_a_policy_hides_entries_and_the_rest_all_come(export: Path, room: int) -> None:
    names = {f"{number}" for number in range(300)}
    for name in names:
        (export / name).touch()
        (export / f"hidden{name}").touch()
    client = Client(str(export), wrap=HidingTree)
    client.mount()
    fid = client.open(flags=DOTL_DIRECTORY)
    assert {entry.name.decode() for entry in client.entries(fid, room)} == names
    client.close()


def test_entries_before_an_error_come_first(export: Path) -> None:
    client = Client(str(export), wrap=FailingTree)
    client.mount()
    fid = client.open(flags=DOTL_DIRECTORY)
    entries = client.readdir(fid)
    assert len(entries) == 2
    with refused(errno.EIO):
        client.readdir(fid, max(entry.offset for entry in entries))
    client.close()


def test_a_policy_that_leaves_entries_alone_has_the_inner_files_own(export: Path) -> None:
    (export / "file").touch()
    tree = ForwardingTree(LocalTree(str(export)))
    inner = tree.open(tree.root, os.O_RDONLY)
    file = ForwardingFile(inner)
    assert file.pack_entries(0, 1000) == inner.pack_entries(0, 1000)
    assert [*file.entries(0)] == [*inner.entries(0)]
    assert file.fileno() == inner.fileno()
    file.close()
    tree.close()


def test_what_closing_reports_reaches_the_guest_and_the_fid_is_gone(export: Path) -> None:
    client = Client(str(export), wrap=CommittingTree)
    client.mount()
    for finish in (client.clunk, client.remove):
        fid = client.create(b"file", data=b"x")
        with refused(errno.ENOSPC):
            finish(fid)
        assert client.in_use() == {ROOT}
    client.create(b"file")
    client.create(b"other")
    client.mount()  # a new session asks nobody
    assert client.in_use() == {ROOT}
    client.create(b"last")
    client.close()


class CountedFile(WrappedFile):
    """Counts how often it ends."""

    ends: ClassVar[list[str]] = []

    def ended(self) -> None:
        self.ends.append("ended")


class CountedTree(WrappedTree):
    def wrap(self, file: File) -> File:
        return CountedFile(file)


@pytest.mark.parametrize("waits", [False, True])
def test_a_policys_file_ends_once_however_it_ends(export: Path, waits: bool) -> None:
    client = Client(
        str(export), wrap=lambda local: CountedTree(SyncOnCloseTree(local) if waits else local)
    )
    client.mount()
    for end in (client.clunk, client.remove, lambda _fid: client.mount()):
        CountedFile.ends.clear()
        end(client.create(b"file", data=b"x"))
        assert CountedFile.ends == ["ended"]
    client.close()
