"""How QEMU keeps a guest's owners and modes on disk (``security_model=mapped-xattr``).

Attributes of the file itself, each a number in little-endian order (``hw/9pfs/9p-local.c``):
``user.virtfs.uid``, ``.gid`` and ``.mode`` (kind and permissions) in 32 bits, ``.rdev`` in 64.
One that is missing leaves what Dom0 has.  A symbolic link is a regular file that holds the target,
a FIFO, socket or device node an empty one; their kind is in the mode.  POSIX ACLs are kept under
their own name within ``user.virtfs.`` (``hw/9pfs/9p-posix-acl.c``).
"""

from __future__ import annotations

import errno
import stat
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from backend.fileserver.files import Node
    from backend.fileserver.tree import Tree

NAMESPACE: Final = b"user.virtfs."
"""What the guest must not touch: it would be its own judge."""

ACLS: Final = {
    name: NAMESPACE + name for name in (b"system.posix_acl_access", b"system.posix_acl_default")
}
"""What the guest's kernel calls a POSIX ACL, and where it is kept: to Dom0's kernel it is none."""

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
"""What Dom0 sees: nobody but the user who serves has any business there."""

SPECIAL_KINDS: Final = frozenset(
    (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
)
"""What a regular file may stand for."""

# A file system below the export that keeps no attributes; a file of Dom0's that the worker may not
# read: what Dom0 says of it is all there is to say.
_ABSENT: Final = (errno.EOPNOTSUPP, errno.EACCES)


class Number:
    """One attribute."""

    __slots__ = ("_form", "name")

    def __init__(self, name: bytes, form: str) -> None:
        self.name: Final = NAMESPACE + name
        self._form: Final = Struct(form)

    def unpack(self, packed: bytes | None) -> int | None:
        """The number; ``None`` for none, and for what is not of its length."""
        if packed is None or len(packed) != self._form.size:
            return None
        number: int = self._form.unpack(packed)[0]
        return number

    def write(self, tree: Tree, node: Node, number: int) -> None:
        """Set it.  Raises ``OSError``: EPERM for what is neither a file nor a directory..."""
        tree.xattr_set(node, self.name, self._form.pack(number), 0)


def read(tree: Tree, node: Node, *numbers: Number) -> list[int | None]:
    """What is stored of each; ``None`` where there is nothing.

    Raises ``OSError`` where there may be something that cannot be read: to show what Dom0 has in
    its place could show more than the guest allowed.
    """
    try:
        values = tree.xattr_values(node, [number.name for number in numbers])
    except OSError as error:
        if error.errno in _ABSENT:
            return [None] * len(numbers)
        raise
    return [number.unpack(packed) for number, packed in zip(numbers, values, strict=True)]


UID: Final = Number(b"uid", "<I")
GID: Final = Number(b"gid", "<I")
MODE: Final = Number(b"mode", "<I")
RDEV: Final = Number(b"rdev", "<Q")


def shown_mode(mode: int, stored: int | None) -> int:
    """The mode for the guest, of Dom0's and the stored one.

    A directory stays one and what Dom0 made stays what it is, whatever is stored: only a regular
    file may stand for another kind.
    """
    if stored is None:
        return mode
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG and stat.S_IFMT(stored) in SPECIAL_KINDS:
        kind = stat.S_IFMT(stored)
    return kind | stat.S_IMODE(stored)
