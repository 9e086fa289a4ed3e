"""Everything XenStore knows apart from its connections: nodes, domains, watches, usage."""

from __future__ import annotations

import errno

from backend.platform.embedded.xenstore_limits import Limits, Usage
from backend.platform.embedded.xenstore_nodes import Change, ChangeSink, NodeAccess, failure
from backend.platform.embedded.xenstore_paths import INTRODUCE_DOMAIN, RELEASE_DOMAIN
from backend.platform.embedded.xenstore_permissions import (
    TOOLSTACK,
    Caller,
    Permissions,
    without_domain,
)
from backend.platform.embedded.xenstore_tree import Nodes, Tree
from backend.platform.embedded.xenstore_watches import Watches


class State:
    """The state of one XenStore."""

    def __init__(self, limits: Limits | None = None) -> None:
        """An empty store; only Dom0 exists."""
        self.limits = limits or Limits()
        self.tree = Tree()
        self.usage = Usage(self.limits)
        self.watches = Watches(self.usage)
        self.existing = {0}
        self.introduced = {0}
        self.targets: dict[int, int] = {}

    def caller(self, domid: int) -> Caller:
        """A domain with the target it has now."""
        return Caller(domid, self.targets.get(domid))

    def access(
        self, caller: Caller, nodes: Nodes | None = None, changed: ChangeSink | None = None
    ) -> NodeAccess:
        """A caller at work on the store, or on what a transaction sees of it."""
        return NodeAccess(nodes or self.tree, caller, self.limits, changed or self.fire)

    def fire(self, change: Change) -> None:
        """Tell watchers of a change now."""
        self.watches.fire(change, self.tree)

    def introduce(self, domid: int) -> None:
        """A domain has come; the second time, nothing happens."""
        self.existing.add(domid)
        if domid not in self.introduced:
            self.introduced.add(domid)
            self.fire(Change(INTRODUCE_DOMAIN, subtree=False))

    def release(self, domid: int) -> None:
        """A domain is gone: its nodes and what others granted it go too, then watchers hear of it.

        Raises ``OSError`` EINVAL for Dom0.
        """
        if domid == 0:
            raise failure(errno.EINVAL)
        self._purge(domid)
        self.targets.pop(domid, None)
        self.targets = {device: of for device, of in self.targets.items() if of != domid}
        self.existing.discard(domid)
        if domid in self.introduced:
            self.introduced.discard(domid)
            self.fire(Change(RELEASE_DOMAIN, subtree=False))

    def set_target(self, domid: int, target: int) -> None:
        """Give ``domid`` the rights of ``target``.  Raises ``OSError`` ENOENT."""
        if domid not in self.introduced or target not in self.introduced:
            raise failure(errno.ENOENT)
        self.targets[domid] = target

    def _purge(self, domid: int) -> None:
        """Remove every subtree the domain owns the top of, and its entries in what is left."""
        toolstack = self.access(TOOLSTACK)
        for path in self.tree.paths():
            node = self.tree.get(path)
            if node is None:
                continue
            if node.owner == domid:
                toolstack.remove_existing(path)
                continue
            left: Permissions = without_domain(node.permissions, domid)
            if left != node.permissions:
                self.tree.put(path, node._replace(permissions=left))
