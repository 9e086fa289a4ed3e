"""A session on a share, with its limits: what a worker and ``serve`` have in common.

The one place where a share's policies are put around its tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.exports import ExportError, open_export
from backend.fileserver.limits import Limits, Slots
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from backend.fileserver.policies.read_only import ReadOnlyTree
from backend.fileserver.policies.sync_on_close import SyncOnCloseTree
from backend.fileserver.session import Session
from backend.share import SecurityModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.tree import Tree
    from backend.share import Share


def open_session(
    share: Share, allowed: Sequence[str], *, max_fids: int, max_open_files: int, max_msize: int
) -> Session:
    """Open the share in this process.  Raises ``ExportError``, ``OSError``."""
    limits = Limits(fids=Slots("fids", max_fids), open_files=Slots("open files", max_open_files))
    return Session(open_tree(share, allowed), limits, max_msize)


def open_tree(share: Share, allowed: Sequence[str]) -> Tree:
    """The share's tree inside its policies, innermost first.  Raises ``ExportError``, ``OSError``.

    What a share asks for and nobody serves yet is refused, never left out.
    """
    if share.files:
        raise ExportError("named files are not served yet")
    tree: Tree = LocalTree(open_export(share.path, allowed, share.security_model))
    if share.security_model is SecurityModel.MAPPED_XATTR:
        tree = MappedXattrTree(tree)
    if share.fsync_on_close:
        tree = SyncOnCloseTree(tree)
    if share.read_only:
        tree = ReadOnlyTree(tree)
    return tree
