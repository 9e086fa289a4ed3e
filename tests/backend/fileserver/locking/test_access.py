"""Tlock: which files can be locked how, and what a policy has to do with it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.forwarding import ForwardingFile, ForwardingTree
from backend.fileserver.policies.named_files import NamedFilesTree
from backend.fileserver.policies.read_only import ReadOnlyTree
from protocol.ninep.flags import (
    DOTL_RDONLY,
    DOTL_RDWR,
    DOTL_TRUNC,
    DOTL_WRONLY,
    LOCK_BLOCKED,
    LOCK_FLAGS_BLOCK,
    LOCK_SUCCESS,
    LOCK_TYPE_RDLCK,
    LOCK_TYPE_WRLCK,
)
from tests.backend.fileserver.client import Client, refused, unprivileged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backend.fileserver.files import File, Node
    from backend.fileserver.tree import Tree
    from protocol.ninep.ids import Fid

READ, WRITE = LOCK_TYPE_RDLCK, LOCK_TYPE_WRLCK


def read_only_name(export: Path) -> Callable[[Tree], Tree]:
    """A share of one named file, not writable."""

    def wrap(local: Tree) -> Tree:
        assert isinstance(local, LocalTree)
        tree = NamedFilesTree(local)
        tree.add(b"file", os.open(export, os.O_PATH), b"file", writable=False)
        return tree

    return wrap


class TestAccess:
    """flock(2) takes exclusive locks through files that are open for reading."""

    @pytest.mark.parametrize("flags", [DOTL_RDONLY, DOTL_WRONLY, DOTL_RDWR])
    @pytest.mark.parametrize("kind", [READ, WRITE])
    def test_any_open_file_can_be_locked_either_way(
        self, client: Client, file: Fid, flags: int, kind: int
    ) -> None:
        del file
        assert client.lock(client.open(b"file", flags=flags), kind) == LOCK_SUCCESS

    @pytest.mark.parametrize(
        ("mode", "flags", "possible"), [(0o444, DOTL_RDONLY, READ), (0o222, DOTL_WRONLY, WRITE)]
    )
    def test_unless_the_server_may_not_open_it_so(
        self, client: Client, export: Path, mode: int, flags: int, possible: int
    ) -> None:
        (export / "file").touch()
        (export / "file").chmod(mode)
        with unprivileged():
            fid = client.open(b"file", flags=flags)
            assert client.lock(fid, possible) == LOCK_SUCCESS
            client.unlock(fid)
            with refused(errno.EBADF):
                client.lock(fid, READ if possible == WRITE else WRITE)

    @pytest.mark.parametrize("policy", [lambda _: ReadOnlyTree, read_only_name])
    def test_a_policy_that_refuses_writing_leaves_shared_locks(
        self, export: Path, policy: Callable[[Path], Callable[[Tree], Tree]]
    ) -> None:
        (export / "file").touch()
        client = Client(str(export), wrap=policy(export))
        client.mount()
        fid = client.open(b"file")
        assert client.lock(fid, READ) == LOCK_SUCCESS
        with refused(errno.EBADF):
            client.lock(fid, WRITE)
        client.close()

    def test_a_lock_makes_nobody_a_writer(self, export: Path) -> None:
        (export / "file").touch()
        opened: list[int] = []

        class Counting(ForwardingTree):
            def open(self, node: Node, flags: int) -> File:
                opened.append(flags)
                return super().open(node, flags)

        client = Client(str(export), wrap=Counting)
        client.mount()
        assert client.lock(client.open(b"file")) == LOCK_SUCCESS
        assert opened == [os.O_RDONLY]
        client.close()

    def test_a_lock_neither_holds_up_nor_undoes_what_is_committed(self, export: Path) -> None:
        (export / "old").write_bytes(b"old")
        client = Client(str(export), wrap=AtomicCommitTree)
        client.mount()
        for name, flags in ((b"new", None), (b"old", DOTL_WRONLY | DOTL_TRUNC)):
            fid = client.create(name) if flags is None else client.open(name, flags=flags)
            reader = client.open(name)
            assert client.lock(reader) == LOCK_SUCCESS
            assert client.lock(reader, READ, flags=LOCK_FLAGS_BLOCK) == LOCK_SUCCESS
            client.write(fid, b"whole")
            assert client.lock(fid, pid=2) == LOCK_BLOCKED
            assert client.lock(fid, WRITE, 0, 1, pid=1) == LOCK_SUCCESS
            client.clunk(fid)
            assert (export / name.decode()).read_bytes() == b"whole"
            client.clunk(reader)
            assert len(client.session.locks) == 0
        client.close()

    def test_closing_what_was_opened_for_locks_is_nobodys_failure(
        self, export: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Stubborn(ForwardingFile):
            def discard(self) -> None:
                super().discard()
                raise OSError(errno.EIO, "the disk is gone")

        class StubbornTree(ForwardingTree):
            def open_for_locks(self, node: Node, flags: int) -> File:
                return Stubborn(super().open_for_locks(node, flags))

        (export / "file").touch()
        client = Client(str(export), wrap=StubbornTree)
        client.mount()
        fid = client.open(b"file")
        assert client.lock(fid) == LOCK_SUCCESS
        client.unlock(fid)
        assert "the disk is gone" in caplog.text
        client.clunk(fid)
        client.close()
