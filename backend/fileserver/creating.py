"""open(2) with ``O_CREAT``, made of a creation that insists on being the first, and an opening."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.fileserver.files import File, Node
    from backend.fileserver.tree import Tree

MAX_CREATE_TRIES: Final = 16
"""How often ``create_or_open`` starts again when a name appears and disappears under its hands."""


def create_or_open(
    tree: Tree, create: Callable[[], tuple[Node, File]], parent: Node, name: bytes, flags: int
) -> tuple[Node, File]:
    """``create``, unless the name is taken and ``flags`` lack ``O_EXCL``: then what is there.

    Whatever was asked, ``create`` is exclusive: it raises EEXIST where there is anything under the
    name, so that what it makes is new for sure, and what was there before is looked at before it
    is opened.

    Raises ``OSError``: what ``create`` and ``tree.open`` say, EISDIR, ESTALE.
    """
    for _ in range(MAX_CREATE_TRIES):
        try:
            return create()
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
        try:
            node = tree.lookup(parent, name)
        except FileNotFoundError:
            continue
        return _open_existing(tree, node, flags)
    raise OSError(errno.ESTALE, "the name comes and goes")


def _open_existing(tree: Tree, node: Node, flags: int) -> tuple[Node, File]:
    try:
        if node.kind == stat.S_IFDIR:
            raise OSError(errno.EISDIR, "the name is a directory's")
        return node, tree.open(node, flags)
    except OSError:
        node.release()
        raise


def refuse_creation(tree: Tree, parent: Node, name: bytes, code: int, why: str) -> NoReturn:
    """Say ``code`` of a creation that is not allowed, as Linux does: only if nothing else is wrong.

    Raises ``OSError``: EEXIST where the name is taken, ENOTDIR where there are no names, ``code``.
    """
    try:
        tree.lookup(parent, name).release()
    except FileNotFoundError:
        raise OSError(code, why) from None
    raise OSError(errno.EEXIST, "the name is taken")
