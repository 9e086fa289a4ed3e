"""A transaction: a private copy of every node it touches, checked against the store at the end.

As in xenstored, a node is copied when it is first touched, not when the transaction starts; the
commit succeeds only if each touched node still has the generation it had then (absence counts as
one).  So what a transaction *read* may mix two moments, but then its commit fails with EAGAIN.
"""

from __future__ import annotations

import errno
from collections import Counter
from typing import TYPE_CHECKING

from backend.platform.embedded.xenstore_limits import Limits, no_space
from backend.platform.embedded.xenstore_nodes import Change, failure

if TYPE_CHECKING:
    from backend.platform.embedded.xenstore_permissions import Caller
    from backend.platform.embedded.xenstore_tree import Node, Tree


class Transaction:
    """Nodes as one transaction sees them (``xenstore_tree.Nodes``), and the changes to tell."""

    def __init__(self, tree: Tree, caller: Caller, limits: Limits) -> None:
        """Start: nothing is copied yet."""
        self._tree = tree
        self._caller = caller
        self._limits = limits
        self._seen: dict[str, int | None] = {}
        self._own: dict[str, Node | None] = {}
        self._changed: set[str] = set()
        self._owned: Counter[int] = Counter()
        self._events: dict[str, Change] = {}
        self._failed = False

    def get(self, path: str) -> Node | None:
        """The node as this transaction left it, or as the store had it at the first touch."""
        if path not in self._seen:
            if not self._caller.privileged and len(self._seen) >= self._limits.transaction_nodes:
                self._failed = True
                raise no_space()
            node = self._tree.get(path)
            self._seen[path] = None if node is None else node.generation
            self._own[path] = node
        return self._own[path]

    def put(self, path: str, node: Node) -> None:
        """Create or replace, here only."""
        self._replace(path, node._replace(generation=self._tree.tick()))

    def remove(self, path: str) -> None:
        """Remove, here only."""
        self._replace(path, None)

    def owned(self, domid: int) -> int:
        """How many nodes a domain would own after a commit now."""
        return self._tree.owned(domid) + self._owned[domid]

    def note(self, change: Change) -> None:
        """Keep a change for the commit; a path's events become one, the widest."""
        earlier = self._events.get(change.path)
        if earlier is not None:
            before = earlier.before if change.before is None else change.before
            change = Change(change.path, change.subtree or earlier.subtree, before)
        self._events[change.path] = change

    def commit(self) -> list[Change]:
        """Make everything visible at once; returns what to tell watchers.

        Raises ``OSError`` EAGAIN on a conflict, ENOSPC when a quota is exceeded by now, ENOMEM when
        an operation of this transaction failed half way.
        """
        if self._failed:
            raise failure(errno.ENOMEM)
        for path, generation in self._seen.items():
            node = self._tree.get(path)
            if generation != (None if node is None else node.generation):
                raise failure(errno.EAGAIN)
        if not self._caller.privileged:
            for domid, more in self._owned.items():
                if domid and more > 0 and self.owned(domid) > self._limits.nodes:
                    raise no_space()
        for path in self._changed:
            node = self._own[path]
            if node is not None:
                self._tree.put(path, node)
            elif self._tree.get(path) is not None:
                self._tree.remove(path)
        return list(self._events.values())

    def _replace(self, path: str, node: Node | None) -> None:
        before = self.get(path)
        if before is not None:
            self._owned[before.owner] -= 1
        if node is not None:
            self._owned[node.owner] += 1
        self._own[path] = node
        self._changed.add(path)
