"""Read only: whatever would change something is answered as a read-only mount of Linux answers.

A mount says EROFS after it has looked at the names that are involved, and not before: a program
that makes a directory which is there already hears EEXIST, as it would with a writable one.  Where
EROFS comes in the order of checks is Linux's ``fs/namei.c`` (``filename_create``, ``do_unlinkat``,
``do_renameat2``), ``fs/open.c`` (``vfs_truncate``) and ``do_open``.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final, NoReturn

from backend.fileserver.creating import create_or_open
from backend.fileserver.files import Changes
from backend.fileserver.policies.fixed_names import FixedNamesTree

if TYPE_CHECKING:
    from backend.fileserver.files import File, Node, Owner

_WRITES: Final = os.O_ACCMODE | os.O_TRUNC
_NOTHING: Final = Changes()
_WHY: Final = "the share is read-only"


class ReadOnlyTree(FixedNamesTree):
    """The outermost policy.  Dom0, and other shares of the same files, may change them."""

    refusal = (errno.EROFS, _WHY)

    def open(self, node: Node, flags: int) -> File:
        # Of what is no regular file, the tree itself says why it is not written: EISDIR, ELOOP...
        if node.kind == stat.S_IFREG and flags & _WRITES:
            _refuse()
        try:
            # A read-only mount leaves access times alone.
            return self.inner.open(node, flags | os.O_NOATIME)
        except PermissionError as error:
            # EPERM: only a file's owner, or who has CAP_FOWNER, may ask for that (open(2)).
            if error.errno != errno.EPERM:
                raise
            return self.inner.open(node, flags)

    def open_for_locks(self, node: Node, flags: int) -> File:
        # A program of Dom0 that is open for writing cannot be started (ETXTBSY).
        if flags & _WRITES:
            _refuse()
        return self.inner.open_for_locks(node, flags)

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        return create_or_open(self, lambda: self.refuse_new(parent, name), parent, name, flags)

    def unlink(self, parent: Node, name: bytes, *, directory: bool) -> None:
        _refuse_in(parent)

    def rename(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        _refuse_in(old_parent, new_parent)

    def setattr(self, node: Node, file: File | None, changes: Changes) -> None:
        if changes.size is not None and node.kind == stat.S_IFDIR:
            raise OSError(errno.EISDIR, "a directory has no size to set")
        if changes != _NOTHING:
            _refuse()

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        _refuse()

    def xattr_remove(self, node: Node, name: bytes) -> None:
        _refuse()


def _refuse_in(*parents: Node) -> NoReturn:
    if any(parent.kind != stat.S_IFDIR for parent in parents):
        raise OSError(errno.ENOTDIR, "not a directory")
    _refuse()


def _refuse() -> NoReturn:
    raise OSError(errno.EROFS, _WHY)
