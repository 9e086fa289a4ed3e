"""XenStore's nodes that may not be there: an answer like any other, and no error.

Anything else raises ``OSError`` as a store does, EACCES too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.xenpv.ports import Names, StoreView


def value_of(view: StoreView, path: str) -> bytes | None:
    """A node's value, ``None`` where there is no such node."""
    try:
        return view.read(path)
    except FileNotFoundError:
        return None


def names_below(view: StoreView, path: str) -> Names:
    """The names of a node's children, none where there is no such node."""
    try:
        return view.list(path)
    except FileNotFoundError:
        return []
