"""The store's nodes for code in the server's own process, with Dom0's rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.platform.embedded.xenstore_paths import canonical
from backend.platform.embedded.xenstore_permissions import (
    TOOLSTACK,
    Access,
    format_permissions,
    parse_permissions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.platform.embedded.xenstore_state import State


class ToolstackTree:
    """Nodes by path.  Errors are ``OSError``s, as a client would get them."""

    def __init__(self, state: State) -> None:
        """Nodes of ``state``."""
        self._state = state
        self._nodes = state.access(TOOLSTACK)

    def read(self, path: str) -> bytes:
        """A node's value."""
        return self._nodes.existing(_path(path), Access.READ).value

    def write(self, path: str, value: bytes, permissions: Sequence[str] = ()) -> None:
        """Set a value and, if given, permissions (``n5``, ``r0``; the owner first)."""
        self._nodes.write(_path(path), value)
        if permissions:
            self.set_permissions(path, permissions)

    def mkdir(self, path: str, permissions: Sequence[str] = ()) -> None:
        """See that a node exists, with these permissions if given."""
        self._nodes.mkdir(_path(path))
        if permissions:
            self.set_permissions(path, permissions)

    def remove(self, path: str) -> None:
        """Remove a node and all below it; fine if it is not there but its parent is."""
        self._nodes.remove(_path(path))

    def children(self, path: str) -> list[str]:
        """Names of children."""
        return list(self._nodes.existing(_path(path), Access.READ).children)

    def exists(self, path: str) -> bool:
        """Whether there is such a node."""
        return self._nodes.find(_path(path), Access.READ) is not None

    def permissions(self, path: str) -> list[str]:
        """Permissions, the owner first."""
        node = self._nodes.existing(_path(path), Access.READ)
        return [entry.decode() for entry in format_permissions(node.permissions)]

    def set_permissions(self, path: str, permissions: Sequence[str]) -> None:
        """Replace permissions.  The owner must exist: listened for, or introduced."""
        entries = [entry.encode() for entry in permissions]
        parsed = parse_permissions(entries, self._state.existing)
        self._nodes.set_permissions(_path(path), parsed)


def _path(path: str) -> str:
    return canonical(path.encode(), 0, special=True)
