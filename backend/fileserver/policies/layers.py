"""Which policies a tree has, one inside the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.forwarding import ForwardingTree

if TYPE_CHECKING:
    from backend.fileserver.tree import Tree

T = TypeVar("T")


def layer(tree: Tree, kind: type[T]) -> T | None:
    """The policy of this kind around or inside which ``tree`` is; ``None`` where there is none."""
    found: object = tree
    while not isinstance(found, kind):
        if not isinstance(found, ForwardingTree):
            return None
        found = found.inner
    return found


def innermost(tree: Tree) -> LocalTree:
    """What all the policies are around.  Raises ``TypeError`` where that is no directory's."""
    found = layer(tree, LocalTree)
    if found is None:
        raise TypeError("a tree of its own kind")
    return found
