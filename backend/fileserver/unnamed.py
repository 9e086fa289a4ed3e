"""Files that nobody sees until they get their name.

The kernel's own have no name at all (``O_TMPFILE``, open(2)): whatever becomes of the worker, none
is left behind.  Where the file system has no such files (NFS, FUSE, old overlayfs) a name stands
for "no name" that nobody can guess; a worker that is killed leaves it behind.
"""

from __future__ import annotations

import errno
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from backend.fileserver.local_files import LocalFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.fileserver.files import File, Node
    from backend.fileserver.tree import Tree

HIDDEN_PREFIX: Final = b".xen-fileproxy-"
"""What hidden names begin with, so that they can be kept from guests, and be found in Dom0."""

_RANDOM_BYTES: Final = 16

NO_TMPFILE: Final = frozenset((errno.EOPNOTSUPP, errno.EISDIR))
"""What open(2) says to ``O_TMPFILE`` where there are none; EISDIR where the flag is unknown."""


def hidden_name() -> bytes:
    """A name that nobody can guess."""
    return HIDDEN_PREFIX + secrets.token_hex(_RANDOM_BYTES).encode()


class UnnamedFiles:
    """How the unnamed files of one tree get their names."""

    def __init__(self, tree: Tree) -> None:
        self._tree: Final = tree
        self._token: Final = secrets.token_hex(_RANDOM_BYTES).encode()
        self._hidden: dict[int, tuple[Node, bytes]] = {}
        """By qid path, where those are that have a hidden name."""

    def keep(self, node: Node, file: LocalFile, parent: Node, hidden: bytes) -> tuple[Node, File]:
        """Take charge of a file that was made under a hidden name; it goes with its ``File``."""
        path = node.qid.path
        self._hidden[path] = (parent.hold(), hidden)
        return node, _HiddenFile(file, lambda: self._remove(path))

    def publish(self, node: Node, parent: Node, name: bytes) -> None:
        """As ``Tree.publish``."""
        tree = self._tree
        where = self._hidden.get(node.qid.path)
        if where is not None:
            tree.rename(*where, parent, name)
            del self._hidden[node.qid.path]
            where[0].release()
            return
        # Always the same for a file, so that who goes on where a worker has died finds it.
        hidden = HIDDEN_PREFIX + self._token + b"-%x" % node.qid.path
        try:
            tree.link(node, parent, name)
        except FileExistsError:
            # linkat(2) replaces nothing, rename(2) does: by way of a hidden name.
            with suppress(FileExistsError):
                tree.link(node, parent, hidden)
            try:
                tree.rename(parent, hidden, parent, name)
            except OSError:
                tree.unlink(parent, hidden, directory=False)
                raise
        else:
            if tree.getattr(node)[1].st_nlink > 1:
                with suppress(FileNotFoundError):
                    tree.unlink(parent, hidden, directory=False)

    def _remove(self, path: int) -> None:
        """The file was closed: it is to be gone, unless it was published."""
        where = self._hidden.pop(path, None)
        if where is not None:
            parent, hidden = where
            try:
                self._tree.unlink(parent, hidden, directory=False)
            finally:
                parent.release()


class _HiddenFile(LocalFile):
    """A file that was made under a hidden name."""

    __slots__ = ("_remove",)

    def __init__(self, opened: LocalFile, remove: Callable[[], None]) -> None:
        """Take over what was opened."""
        super().__init__(opened.fileno(), opened.descriptors, writable=opened.writable)
        self._remove = remove

    def note(self) -> None:
        """Nobody else knows the name."""

    def close(self) -> None:
        super().close()
        self._remove()
