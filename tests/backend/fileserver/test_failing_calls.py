"""A call of the host that fails takes no descriptor with it, and no slot: fstat(2), which a network
file system may refuse at any time (ESTALE).
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import NOBODY, Device
from backend.fileserver.limits import Slots
from backend.fileserver.local_tree import LocalTree

from .quotas import with_quota

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backend.fileserver.files import File, Node
    from backend.fileserver.tree import Tree


def list_root(tree: Tree) -> None:
    tree.open(tree.root, os.O_RDONLY).close()


def create(tree: Tree) -> None:
    give_back(tree.create(tree.root, b"new", os.O_WRONLY, 0o600, NOBODY))


def create_unnamed(tree: Tree) -> None:
    give_back(tree.create_unnamed(tree.root, b"new", os.O_WRONLY, 0o600, NOBODY))


def make_fifo(tree: Tree) -> None:
    tree.mknod(tree.root, b"new", 0o10600, Device(0, 0), NOBODY)


def unlink(tree: Tree) -> None:
    tree.unlink(tree.root, b"file", directory=False)


def give_back(made: tuple[Node, File]) -> None:
    node, file = made
    node.release()
    file.discard()


def fails_at(call: int, monkeypatch: pytest.MonkeyPatch, operation: Callable[[], None]) -> bool:
    """Run it with the fstat(2) of this number failing; whether there was one."""
    real, calls = os.fstat, 0

    def fstat(fd: int) -> os.stat_result:
        nonlocal calls
        calls += 1
        if calls - 1 == call:
            raise OSError(errno.ESTALE, "as a server that has gone")
        return real(fd)

    with monkeypatch.context() as host:
        host.setattr(os, "fstat", fstat)
        with contextlib.suppress(OSError):
            operation()
    return calls > call


@pytest.mark.parametrize("operation", [list_root, create, create_unnamed, make_fifo, unlink])
def test_what_was_held_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Callable[[Tree], None]
) -> None:
    slots = Slots("descriptors", 100)
    (tmp_path / "file").touch()
    tree = with_quota(LocalTree(str(tmp_path), slots), max_files=50)
    with contextlib.closing(tree):
        tree.statfs(tree.root)  # the first count is over
        before = len(os.listdir("/proc/self/fd"))
        failed = 0
        while fails_at(failed, monkeypatch, lambda: operation(tree)):
            failed += 1
            assert slots.used == 1
            assert len(os.listdir("/proc/self/fd")) == before
            (tmp_path / "new").unlink(missing_ok=True)
            (tmp_path / "file").touch()
    assert failed > 0
