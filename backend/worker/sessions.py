"""A session on a share, with its limits: what a worker and ``serve`` have in common.

The one place where a share's policies are put around its tree.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backend.channel.tree import ChannelTree
from backend.exports import ExportError, open_export
from backend.fileserver.ledger import Ledger
from backend.fileserver.limits import Limits, Slots
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from backend.fileserver.policies.named_files import NamedFilesTree
from backend.fileserver.policies.quota import QuotaTree
from backend.fileserver.policies.read_only import ReadOnlyTree
from backend.fileserver.policies.sync_on_close import SyncOnCloseTree
from backend.fileserver.readiness import Readiness
from backend.fileserver.root import open_root
from backend.fileserver.session import Session
from backend.share import Commit, SecurityModel

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from backend.fileserver.tree import Tree
    from backend.share import NamedFile, Share


MIB: Final = 1 << 20

_NOWHERE: Final = "/proc/self/fd"
"""What the worker holds anyway, also behind the walls."""


def open_session(
    share: Share,
    allowed: Sequence[str],
    *,
    quota_dir: str,
    max_fids: int,
    max_open_files: int,
    max_msize: int,
    listeners: Mapping[str, socket.socket],
) -> Session:
    """Open the share in this process; ``quota_dir`` is where all who serve a directory meet.

    ``listeners`` are the sockets of its channels (``channel.listening``), which are taken over.
    Raises ``ExportError``, ``OSError``.
    """
    limits = Limits(fids=Slots("fids", max_fids), open_files=Slots("open files", max_open_files))
    tree = open_tree(share, allowed, quota_dir)
    if not share.channels:
        return Session(tree, limits, max_msize)
    readiness = Readiness()
    # Outermost: to talk to Dom0 is not to change a file, which a policy may forbid or count.
    tree = ChannelTree(tree, share.channels, listeners, readiness)
    return Session(tree, limits, max_msize, readiness)


def open_tree(share: Share, allowed: Sequence[str], quota_dir: str) -> Tree:
    """The share's tree inside its policies, innermost first.  Raises ``ExportError``, ``OSError``.

    The quota stands next to the files, where it sees what they take on disk whatever a policy makes
    of a request; read-only stands outside, so that nothing inside is even asked.
    """
    if not share.path:
        tree: Tree = _open_named(share.files, allowed)
    else:
        tree = LocalTree(open_export(share.path, allowed, share.security_model))
    if share.has_quota:
        tree = _limited(tree, share, quota_dir)
    if share.security_model is SecurityModel.MAPPED_XATTR:
        tree = MappedXattrTree(tree)
    if share.commit is Commit.ATOMIC:
        tree = AtomicCommitTree(tree)
    if share.fsync_on_close:
        tree = SyncOnCloseTree(tree)
    if share.read_only:
        tree = ReadOnlyTree(tree)
    return tree


def _open_named(files: Sequence[NamedFile], allowed: Sequence[str]) -> Tree:
    """Named files; the directories that they are in are opened now, the files when asked for.

    Where there are none but channels, the tree needs a file system all the same: one that has
    nothing to find.
    """
    root = open_export(os.path.dirname(files[0].path), allowed) if files else open_root(_NOWHERE)
    tree = NamedFilesTree(LocalTree(root))
    try:
        for file in files:
            directory, base = os.path.split(file.path)
            tree.add(
                os.fsencode(file.name),
                open_export(directory, allowed),
                os.fsencode(base),
                writable=file.writable,
            )
    except BaseException:
        tree.close()
        raise
    return tree


def _limited(tree: Tree, share: Share, quota_dir: str) -> Tree:
    try:
        ledger = Ledger(quota_dir, tree.root.fd)
    except OSError as error:
        tree.close()
        raise ExportError(f"no quota in {quota_dir}: {error.strerror}") from error
    return QuotaTree(
        tree,
        ledger,
        max_space=None if share.max_space is None else share.max_space * MIB,
        max_files=share.max_files,
        auto_delete=share.auto_delete,
    )
