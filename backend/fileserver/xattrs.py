"""Txattrwalk, Txattrcreate: fids that stand for an extended attribute.

Such a fid is read by Tread or written by Twrite as any open file, and has no other use.  What is
written takes effect when the fid is clunked, and the clunk tells how that went.  An empty value
stands for two things on the wire; ``ValueWriter.close`` says how they are told apart.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from backend.fileserver.fids import FidState
from backend.fileserver.files import Unopened
from backend.fileserver.opening import unopened
from protocol.ninep.flags import XATTR_CREATE, XATTR_REPLACE
from protocol.ninep.messages import Rxattrcreate, Rxattrwalk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.files import Node
    from backend.fileserver.session import Session
    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Txattrcreate, Txattrwalk

MAX_VALUE: Final = 65_536
"""Bytes of a value (``XATTR_SIZE_MAX``) and of a list of names (``XATTR_LIST_MAX``) in Linux."""

MAX_NAME: Final = 255
"""Bytes of a name (``XATTR_NAME_MAX``)."""


class ValueReader(Unopened):
    """A value, or a list of names, as it was when Txattrwalk asked for it."""

    __slots__ = ("so_far",)

    def __init__(self, value: bytes) -> None:
        self.so_far: Final = value
        """All there is."""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.so_far)

    def read(self, buffers: Sequence[memoryview], offset: int) -> int:
        done = 0
        for buffer in buffers:
            # Beyond the end a slice is empty, however large the offset.
            part = self.so_far[offset + done : offset + done + len(buffer)]
            buffer[: len(part)] = part
            done += len(part)
        return done


class ValueWriter(Unopened):
    """A value that comes in pieces, each beginning where the ones before it end, or within them."""

    __slots__ = ("_node", "_tree", "flags", "name", "size", "so_far")

    def __init__(
        self,
        tree: Tree,
        node: Node,
        name: bytes,
        size: int,
        flags: int,
        *,
        so_far: bytes = b"",
    ) -> None:
        """Of ``size`` bytes ``so_far`` have come."""
        self._tree: Final = tree
        self._node: Final = node.hold()
        self.name: Final = name
        self.size: Final = size
        self.flags: Final = flags
        self.so_far: Final = bytearray(so_far)

    @property
    def removes(self) -> bool:
        """Whether the attribute is to be removed: see ``close``."""
        return not self.size and self.flags == XATTR_REPLACE

    def current(self) -> bytes:
        """The attribute's value now.  Raises ``OSError`` ENODATA."""
        return self._tree.xattr_get(self._node, self.name)

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:
        count = sum(map(len, buffers))
        if offset + count > self.size:
            raise OSError(errno.ENOSPC, f"the value was to have {self.size} bytes")
        if offset > len(self.so_far):
            raise OSError(errno.EINVAL, f"bytes {len(self.so_far)} to {offset} are missing")
        self.so_far[offset : offset + count] = b"".join(buffers)
        return count

    def close(self) -> None:
        """Set the attribute, or remove it.

        Linux sends removexattr(2) as size 0 with XATTR_REPLACE, and an empty value as size 0 with
        the program's own flags (fs/9p/xattr.c, fs/xattr.c): of these only an empty value that must
        replace another is taken for a removal.  QEMU removes whenever the size is 0.
        """
        try:
            if len(self.so_far) != self.size:
                raise OSError(errno.EINVAL, f"{len(self.so_far)} bytes of {self.size} were written")
            if self.removes:
                self._tree.xattr_remove(self._node, self.name)
            else:
                self._tree.xattr_set(self._node, self.name, bytes(self.so_far), self.flags)
        finally:
            self._node.release()

    def discard(self) -> None:
        """Leave the attribute as it is: without a clunk nobody said that the value is complete."""
        self._node.release()


def xattrwalk(session: Session, request: Txattrwalk) -> Rxattrwalk:
    """Make ``newfid`` read an attribute's value or, for the empty name, all names, NUL after each.

    Raises ``OSError``: EBADF, what ``check_free`` says of ``newfid``, ERANGE for a name that is too
    long, ENODATA, EOPNOTSUPP, E2BIG for too many names, EMFILE when such fids hold too much.
    """
    start = session.fids[request.fid]
    session.fids.check_free(request.newfid)
    if request.name:
        _check_name(request.name)
        value = session.tree.xattr_get(start.node, request.name)
    else:
        value = b"".join(name + b"\0" for name in session.tree.xattr_list(start.node))
    if len(value) > MAX_VALUE:
        raise OSError(errno.E2BIG, f"{len(value)} bytes: {MAX_VALUE} is the most")
    slots = session.limits.xattr_bytes
    slots.take(len(value))
    state = FidState(start.node.hold(), uid=start.uid)
    state.set_open(ValueReader(value), slots, len(value))
    session.fids.add(request.newfid, state)
    return Rxattrwalk(request.tag, len(value))


def xattrcreate(session: Session, request: Txattrcreate) -> Rxattrcreate:
    """Make ``fid``, which is not open, take the value of an attribute; ``ValueWriter`` sets it.

    Raises ``OSError``: EBADF, EINVAL (open already, an unknown flag, NUL in the name), ERANGE for
    an empty or too long name (as the kernel does), E2BIG, EMFILE when such fids hold too much.
    """
    state = unopened(session, request.fid)
    size, flags = request.attr_size, request.flags
    if not request.name:
        raise OSError(errno.ERANGE, "an attribute without a name")
    _check_name(request.name)
    if flags & ~(XATTR_CREATE | XATTR_REPLACE):
        raise OSError(errno.EINVAL, f"flags {flags:#x}")
    if size > MAX_VALUE:
        raise OSError(errno.E2BIG, f"a value of {size} bytes: {MAX_VALUE} is the most")
    slots = session.limits.xattr_bytes
    slots.take(size)
    writer = ValueWriter(session.tree, state.node, request.name, size, flags)
    state.set_open(writer, slots, size)
    return Rxattrcreate(request.tag)


def _check_name(name: bytes) -> None:
    if len(name) > MAX_NAME:
        raise OSError(errno.ERANGE, f"a name of {len(name)} bytes: {MAX_NAME} is the most")
    if b"\0" in name:
        raise OSError(errno.EINVAL, "a name must not hold NUL")
