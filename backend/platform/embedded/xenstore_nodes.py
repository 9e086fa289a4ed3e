"""What a caller can do with nodes: permissions, quotas, and which changes to tell watchers.

The same functions work on the store and within a transaction.  They raise ``OSError`` with the
errno that xenstored gives, and then have changed nothing.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from backend.platform.embedded.xenstore_limits import Limits, no_space
from backend.platform.embedded.xenstore_paths import child, invalid, name, own_length, parent
from backend.platform.embedded.xenstore_permissions import Access, Caller, Permission, Permissions
from backend.platform.embedded.xenstore_tree import Node, Nodes, size_of


class Change(NamedTuple):
    """Something that watchers may hear of.

    ``subtree``: watches above the path hear of it too; otherwise only those on the path itself.
    ``before``: the permissions until now, for who could read it then; ``None`` if unchanged.
    """

    path: str
    subtree: bool = True
    before: Permissions | None = None


class ChangeSink(Protocol):
    """Takes changes as they are made."""

    def __call__(self, change: Change) -> None:
        """One change, already visible in the nodes."""


@dataclass(frozen=True)
class NodeAccess:
    """A caller at work on some nodes.  Paths are canonical."""

    nodes: Nodes
    caller: Caller
    limits: Limits
    changed: ChangeSink

    def find(self, path: str, need: Access) -> Node | None:
        """The node, or ``None`` if there is none and the caller may know that.

        Raises ``OSError`` EACCES.  A node can be open to a caller whom its parents keep out; where
        access fails, the nearest existing parent decides whether the caller learns more.
        """
        if not self.caller.privileged and own_length(path) > self.limits.path:
            raise invalid()
        node = self.nodes.get(path)
        if node is not None:
            if self.caller.may(node.permissions, need):
                return node
            raise failure(errno.EACCES)
        above = self._nearest(path)
        if above is None or not self.caller.may(above.permissions, need):
            raise failure(errno.EACCES)
        return None

    def existing(self, path: str, need: Access) -> Node:
        """The node.  Raises ``OSError`` ENOENT or EACCES."""
        node = self.find(path, need)
        if node is None:
            raise failure(errno.ENOENT)
        return node

    def write(self, path: str, value: bytes) -> None:
        """Set a value, creating the node and its parents if need be."""
        node = self.find(path, Access.WRITE)
        if node is None:
            self._create(path, value)
        else:
            self._put(path, node._replace(value=value))
        self.changed(Change(path))

    def mkdir(self, path: str) -> None:
        """See that the node is there."""
        if self.find(path, Access.WRITE) is None:
            self._create(path, b"")
            self.changed(Change(path))

    def remove(self, path: str) -> None:
        """Remove a node and all below it; fine if it is not there but its parent is."""
        node = self.find(path, Access.WRITE)
        if node is None:
            if self.nodes.get(parent(path)) is None:
                raise failure(errno.ENOENT)
            return
        if path == "/":
            raise invalid()
        self.remove_existing(path)

    def remove_existing(self, path: str) -> None:
        """Remove without asking for permission."""
        removed = self._remove_below(path)
        above = self.nodes.get(parent(path))
        if above is not None:
            siblings = tuple(other for other in above.children if other != name(path))
            self.nodes.put(parent(path), above._replace(children=siblings))
        for gone, permissions in removed:
            self.changed(Change(gone, subtree=gone == path, before=permissions))

    def set_permissions(self, path: str, permissions: Permissions) -> None:
        """Replace the permissions.  Only Dom0 may give a node to another owner."""
        if not self.caller.privileged and len(permissions) > self.limits.permissions:
            raise no_space()
        if permissions[0].void:
            raise failure(errno.ENOENT)
        node = self.existing(path, Access.WRITE)
        if not self.caller.owns(node.permissions):
            raise failure(errno.EACCES)
        if not self.caller.privileged and permissions[0].domid != node.owner:
            raise failure(errno.EPERM)
        self._put(path, node._replace(permissions=permissions))
        self.changed(Change(path, before=node.permissions))

    def _nearest(self, path: str) -> Node | None:
        while path != "/":
            path = parent(path)
            node = self.nodes.get(path)
            if node is not None:
                return node
        return None

    def _put(self, path: str, node: Node) -> None:
        if not self.caller.privileged and size_of(node) > self.limits.node_size:
            raise no_space()
        self.nodes.put(path, node)

    def _create(self, path: str, value: bytes) -> None:
        """Create what is missing, from the bottom, so that a failure leaves the store as it was."""
        missing = [path]
        while (above := self.nodes.get(parent(missing[-1]))) is None:
            missing.append(parent(missing[-1]))
        permissions = self._inherited(above.permissions)
        owner = permissions[0].domid
        if (
            not self.caller.privileged
            and self.nodes.owned(owner) + len(missing) > self.limits.nodes
        ):
            raise no_space()
        made: list[tuple[str, Node]] = []
        children: tuple[str, ...] = ()
        for new in missing:
            made.append((new, Node(b"" if children else value, permissions, children)))
            children = (name(new),)
        made.append((parent(missing[-1]), above._replace(children=above.children + children)))
        if not self.caller.privileged:
            for _, node in made:
                if size_of(node) > self.limits.node_size:
                    raise no_space()
        for new, node in made:
            self.nodes.put(new, node)

    def _inherited(self, permissions: Permissions) -> Permissions:
        if self.caller.privileged:
            return permissions
        return (Permission(self.caller.domid, permissions[0].access), *permissions[1:])

    def _remove_below(self, path: str) -> list[tuple[str, Permissions]]:
        """Remove nodes, deepest first, without recursion: a path may have 1500 components."""
        order = [path]
        for current in order:
            node = self.nodes.get(current)
            if node is not None:
                order.extend(child(current, component) for component in node.children)
        removed = []
        for current in reversed(order):
            node = self.nodes.get(current)
            if node is not None:
                self.nodes.remove(current)
                removed.append((current, node.permissions))
        return removed


def failure(code: int) -> OSError:
    """An ``OSError`` with the usual text."""
    return OSError(code, os.strerror(code))
