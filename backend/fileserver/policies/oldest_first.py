"""``auto-delete``: where a limit would be passed, the oldest file that is not open goes first.

"Open" is what the ledger knows: open for reading or writing through any device that shares the
directory and has a quota.  What Dom0's own programs have open is not known.  A lease (F_SETLEASE)
would tell, but not of a guest's fid that stands for the file without having opened it, and for
files of other users it takes a capability, which a worker should rather not have.

Only regular files with one name are deleted: to remove one of several names frees nothing.
"""

from __future__ import annotations

import logging
import stat
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from backend.fileserver.files import Changes
from backend.fileserver.inode_table import UNIT

if TYPE_CHECKING:
    from backend.fileserver.census import OldFile
    from backend.fileserver.files import Node
    from backend.fileserver.policies.counting import Counting
    from backend.fileserver.policies.quota import QuotaTree

log = logging.getLogger(__name__)


class OldestFirst:
    """Deletes files of ``tree``; finds them by a count, many at a time."""

    def __init__(self, tree: QuotaTree, counting: Counting) -> None:
        self._tree = tree
        self._counting = counting
        self._batch: list[OldFile] = []
        """The oldest comes last."""
        self._gained = True
        """Whether anything of the batch could be deleted, so that another one is worth a count."""
        self._counted_at = 0.0

    def free(self, blocks: int, files: int) -> bool:
        """In a turn: delete until so much may be added; whether it may be."""
        while not self._tree.room.fits(blocks, files):
            if not self._batch:
                return False
            with suppress(OSError):
                self._gained |= self._delete(self._batch.pop(), files)
        return True

    def refresh(self) -> bool:
        """Out of a turn, as it takes as long as a count: find more; whether there are any.

        Raises ``OSError`` as ``Counting.oldest``.
        """
        now = time.monotonic()
        if not self._gained and now < self._counted_at + self._counting.pause:
            return False
        self._gained = False
        self._counted_at = now
        self._batch = self._counting.oldest()[::-1]
        return bool(self._batch)

    def _delete(self, old: OldFile, files: int) -> bool:
        """Delete a file, if it still is what was found.  Raises ``OSError``.

        From the root down, name by name, none of them a link: so it lies below the root.
        """
        tree = self._tree
        with ExitStack() as held:
            *directories, name = old.path.split(b"/")
            parent = tree.root
            for directory in directories:
                parent = _held(held, tree.lookup(parent, directory))
            node = _held(held, tree.lookup(parent, name))
            key = tree.key(node)
            _qid, status = tree.getattr(node)
            seen = (node.kind, key, status.st_mtime_ns, status.st_nlink)
            if seen != (stat.S_IFREG, old.key, old.mtime_ns, 1):
                return False
            pinned, is_open = tree.ledger.in_use(key)
            # The inode itself is there as long as a fid stands for it; only its space can be freed.
            if is_open or (pinned and not tree.room.fits(0, files)):
                return False
            tree.inner.unlink(parent, name, directory=False)
            tree.ledger.settle(key, node.fd)
            if pinned:
                with suppress(OSError):
                    tree.inner.setattr(node, None, Changes(size=0))
                tree.ledger.settle(key, node.fd)
            tree.ledger.settle(tree.key(parent), parent.fd)
        log.info("auto-delete: %r, %d KiB", old.path, status.st_blocks * UNIT // 1024)
        return True


def _held(stack: ExitStack, node: Node) -> Node:
    stack.callback(node.release)
    return node
