"""A tree on which attributes fail, one by one."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from backend.fileserver.policies.forwarding import ForwardingTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.files import Node
    from backend.fileserver.local_tree import LocalTree


class Steps(ForwardingTree):
    """Sets as many attributes as are ``left``, then fails; or dies: then nobody cleans up either.

    ``fault`` is what reading any attribute is answered.
    """

    def __init__(self, inner: LocalTree) -> None:
        super().__init__(inner)
        self.left = 1_000
        self.dies = False
        self.fault = 0

    def xattr_values(self, node: Node, names: Sequence[bytes]) -> list[bytes | None]:
        if self.fault:
            raise OSError(self.fault, "no attribute can be read")
        return super().xattr_values(node, names)

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        if not self.left:
            raise OSError(errno.ENOSPC, "no room for attributes")
        self.left -= 1
        super().xattr_set(node, name, value, flags)

    def unlink(self, parent: Node, name: bytes, *, directory: bool) -> None:
        if self.dies:
            raise OSError(errno.EIO, "died before that")
        super().unlink(parent, name, directory=directory)
