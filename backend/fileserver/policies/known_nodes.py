"""Which node stands for a file: one and the same for as long as a name leads to it.

So whoever asks by the name, and all fids that were walked to it before, share one node, and see
the same file when what is behind it is exchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from backend.fileserver.files import Node
    from backend.fileserver.policies.pending import Key


class KnownNodes:
    """The nodes of regular files that fids hold, by directory and name."""

    def __init__(self) -> None:
        self._nodes: WeakValueDictionary[Key, Node] = WeakValueDictionary()

    def remembered(self, node: Node, parent: Node, name: bytes) -> Node:
        """The node that stands for this file under this name already, or this one from now on.

        Takes over ``node``; the one that is returned is held for the caller.
        """
        key = (parent.qid.path, name)
        known = self._nodes.get(key)
        if known is not None and known.held and known.qid.path == node.qid.path:
            known.qid = node.qid  # with the version of now
            node.release()
            return known.hold()
        self.stands_at(node, parent, name)
        return node

    def adopted(self, node: Node, parent: Node, name: bytes) -> bool:
        """A node of another process stood there, unless one does already: whether it does now."""
        known = self._nodes.setdefault((parent.qid.path, name), node)
        if known is not node:
            return False
        node.stand_at((parent, name))
        return True

    def stands_at(self, node: Node, parent: Node, name: bytes) -> None:
        """This one stands there, and no other."""
        key = (parent.qid.path, name)
        known = self._nodes.get(key)
        if known is not None and known.held:
            known.stand_at(None)
        node.stand_at((parent, name))
        self._nodes[key] = node

    def forget(self, parent: Node, name: bytes) -> None:
        """The name is gone."""
        known = self._nodes.pop((parent.qid.path, name), None)
        if known is not None:
            known.stand_at(None)

    def moved(self, old: tuple[Node, bytes], new: tuple[Node, bytes]) -> None:
        """The name is another one now, which stood for another file perhaps."""
        node = self._nodes.pop((old[0].qid.path, old[1]), None)
        self.forget(*new)
        if node is not None and node.held:
            node.stand_at(new)
            self._nodes[new[0].qid.path, new[1]] = node
