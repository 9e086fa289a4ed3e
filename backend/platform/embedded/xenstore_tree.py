"""The nodes of XenStore: immutable records in a flat table by path.

A node's generation changes with its value, permissions or list of children, so comparing
generations tells whether anything that a reader could have seen of it has changed.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, Protocol

from backend.platform.embedded.xenstore_paths import INTRODUCE_DOMAIN, RELEASE_DOMAIN
from backend.platform.embedded.xenstore_permissions import Access, Permission, Permissions

DOM0_ONLY: Permissions = (Permission(0, Access.NONE),)

_NODE_OVERHEAD = 24
_PERMISSION_SIZE = 8


class Node(NamedTuple):
    """One node.  ``children`` are names in order of creation."""

    value: bytes
    permissions: Permissions
    children: tuple[str, ...] = ()
    generation: int = 0

    @property
    def owner(self) -> int:
        """The domain whose quota the node counts against."""
        return self.permissions[0].domid


class Nodes(Protocol):
    """A table of nodes to read and change: the store itself, or one transaction's view of it."""

    def get(self, path: str) -> Node | None:
        """The node, or ``None``."""

    def put(self, path: str, node: Node) -> None:
        """Create or replace; the node gets a new generation."""

    def remove(self, path: str) -> None:
        """Remove a node that exists."""

    def owned(self, domid: int) -> int:
        """How many nodes a domain owns."""


class Tree:
    """The store itself."""

    def __init__(self) -> None:
        """A fresh store has a root, and a node for the permissions of each special watch."""
        self._nodes: dict[str, Node] = {}
        self._generation = 0
        self._owned: Counter[int] = Counter()
        self.put("/", Node(b"", DOM0_ONLY, ("tool",)))
        self.put("/tool", Node(b"", DOM0_ONLY, ("xenstored",)))
        self.put("/tool/xenstored", Node(b"", DOM0_ONLY))
        self.put(RELEASE_DOMAIN, Node(b"", DOM0_ONLY))
        self.put(INTRODUCE_DOMAIN, Node(b"", DOM0_ONLY))

    def get(self, path: str) -> Node | None:
        """The node, or ``None``."""
        return self._nodes.get(path)

    def put(self, path: str, node: Node) -> None:
        """Create or replace; the node gets a new generation."""
        before = self._nodes.get(path)
        if before is not None:
            self._owned[before.owner] -= 1
        self._nodes[path] = node._replace(generation=self.tick())
        self._owned[node.owner] += 1

    def remove(self, path: str) -> None:
        """Remove a node that exists."""
        self._owned[self._nodes.pop(path).owner] -= 1

    def owned(self, domid: int) -> int:
        """How many nodes a domain owns."""
        return self._owned[domid]

    def tick(self) -> int:
        """A generation that nothing has had before."""
        self._generation += 1
        return self._generation

    def paths(self) -> list[str]:
        """All paths there are now, special ones too."""
        return list(self._nodes)


def size_of(node: Node) -> int:
    """Bytes a node counts for, as xenstored stores it."""
    names = sum(len(name) + 1 for name in node.children)
    permissions = _PERMISSION_SIZE * len(node.permissions)
    return _NODE_OVERHEAD + permissions + len(node.value) + names
