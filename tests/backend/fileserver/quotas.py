"""Trees with a quota, and what a fresh count of a directory says about their ledgers."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from backend.fileserver.inode_table import UNIT
from backend.fileserver.ledger import Ledger, Totals
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.quota import QuotaTree

if TYPE_CHECKING:
    from collections.abc import Iterator

RAM = "/dev/shm"  # noqa: S108 -- a tmpfs is the point
"""Where a file's blocks are what they are.  ext4 adds a block to a file that lies in many pieces
when it writes it back, at a time of its own."""

needs_ram = pytest.mark.skipif(not os.path.isdir(RAM), reason="needs a tmpfs at /dev/shm")


class _OwnLedger(QuotaTree):
    """With a folder for its ledger that goes when it does."""

    def __init__(self, local: LocalTree, folder: tempfile.TemporaryDirectory[str], **limits: Any):
        super().__init__(local, Ledger(folder.name, local.root.fd), **limits)
        self._folder = folder

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


def with_quota(local: LocalTree, **limits: Any) -> QuotaTree:
    """A quota that nobody else shares."""
    return _OwnLedger(local, tempfile.TemporaryDirectory(), **limits)


@contextmanager
def quota(path: object, folder: object, **limits: Any) -> Iterator[QuotaTree]:
    """The directory ``path`` with a ledger in ``folder``, where others may share it."""
    local = LocalTree(str(path))
    tree = QuotaTree(local, Ledger(str(folder), local.root.fd), **limits)
    try:
        yield tree
    finally:
        tree.close()


def scanned(path: object) -> Totals:
    """What lies under a root, by another way than the program's: os.walk and lstat."""
    root = str(path)
    seen = {(status.st_dev, status.st_ino): 0 for status in [os.lstat(root)]}
    space = os.lstat(root).st_blocks
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            status = os.lstat(os.path.join(directory, name))
            if (status.st_dev, status.st_ino) not in seen:
                seen[status.st_dev, status.st_ino] = 0
                space += status.st_blocks
    return Totals(space, len(seen) - 1)


def bytes_used(tree: QuotaTree) -> int:
    return tree.ledger.totals.space * UNIT
