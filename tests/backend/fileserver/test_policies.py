"""Policies around a tree: what they refuse, hide and report reaches the guest."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.flags import DOTL_DIRECTORY, DOTL_RDWR

from .client import ROOT, Client, refused
from .wrapping import WrappedFile, WrappedTree

if TYPE_CHECKING:
    from pathlib import Path

    from backend.fileserver.files import File, Node


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
