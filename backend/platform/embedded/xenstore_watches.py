"""Watches: who hears of which change.

A watch hears of changes at its path and below.  When a whole subtree is removed, a watch inside it
hears of its own path only.  Special paths (``@releaseDomain``) are heard of by exact match.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple, Protocol

from backend.platform.embedded.xenstore_nodes import Change, failure
from backend.platform.embedded.xenstore_paths import parent, with_ancestors
from backend.platform.embedded.xenstore_permissions import Access, Caller, Permissions

if TYPE_CHECKING:
    from backend.platform.embedded.xenstore_limits import Usage
    from backend.platform.embedded.xenstore_tree import Nodes


class Watcher(Protocol):
    """One connection, as far as watches know it."""

    @property
    def caller(self) -> Caller:
        """Whose rights decide what it hears of."""

    def event(self, path: bytes, token: bytes) -> None:
        """Send a WATCH_EVENT."""


class Watch(NamedTuple):
    """``prefix`` bytes are cut off reported paths: a watch set by relative path reports such."""

    watcher: Watcher
    path: str
    token: bytes
    prefix: int

    def report(self, path: str) -> None:
        """Send an event."""
        self.watcher.event(path.encode("ascii")[self.prefix :], self.token)


class Watches:
    """All watches of all connections, by path, each connection's in the order they were set."""

    def __init__(self, usage: Usage) -> None:
        """No watch yet; ``usage`` counts them by domain."""
        self._usage = usage
        self._by_path: dict[str, list[Watch]] = {}
        self._by_watcher: dict[Watcher, dict[tuple[str, bytes], Watch]] = {}

    def add(self, watcher: Watcher, path: str, token: bytes, prefix: int) -> Watch:
        """Set a watch.  Raises ``OSError`` EEXIST for the same path and token again, E2BIG at the
        domain's limit: so xenstored calls it.
        """
        own = self._by_watcher.setdefault(watcher, {})
        if (path, token) in own:
            raise failure(errno.EEXIST)
        usage = self._usage
        usage.take(usage.watches, usage.limits.watches, watcher.caller.domid, errno.E2BIG)
        watch = own[path, token] = Watch(watcher, path, token, prefix)
        self._by_path.setdefault(path, []).append(watch)
        return watch

    def remove(self, watcher: Watcher, path: str, token: bytes) -> None:
        """Unset a watch.  Raises ``OSError`` ENOENT."""
        watch = self._by_watcher.get(watcher, {}).pop((path, token), None)
        if watch is None:
            raise failure(errno.ENOENT)
        self._forget(watch)

    def remove_all(self, watcher: Watcher) -> None:
        """Unset all watches of a connection."""
        for watch in self._by_watcher.pop(watcher, {}).values():
            self._forget(watch)

    def fire(self, change: Change, nodes: Nodes) -> None:
        """Report a change to every watch that matches it and whose owner may know of it."""
        paths = with_ancestors(change.path) if change.subtree else [change.path]
        matching = [watch for path in paths for watch in self._by_path.get(path, ())]
        if not matching:
            return
        grants: list[Permissions] = [] if change.before is None else [change.before]
        for path in (change.path, parent(change.path)):
            node = nodes.get(path)
            if node is not None:
                grants.append(node.permissions)
        for watch in matching:
            caller = watch.watcher.caller
            if any(caller.may(permissions, Access.READ) for permissions in grants):
                watch.report(change.path)

    def _forget(self, watch: Watch) -> None:
        others = self._by_path[watch.path]
        others.remove(watch)
        if not others:
            del self._by_path[watch.path]
        self._usage.give_back(self._usage.watches, watch.watcher.caller.domid)
