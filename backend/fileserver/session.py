"""A session: one client's fids on one tree, and what Tversion settled.  It knows no transport."""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from backend.fileserver.changes import unlink_fid
from backend.fileserver.fids import FidState, FidTable
from backend.fileserver.files import NO_CHANGE
from backend.fileserver.locked_files import LockedFiles
from backend.fileserver.names import check_name
from backend.fileserver.places import PlaceTable
from protocol.ninep.dialects import VERSION_UNKNOWN, Dialect
from protocol.ninep.ids import NOFID, NONUNAME, Fid
from protocol.ninep.messages import Rattach, Rversion

if TYPE_CHECKING:
    from backend.fileserver.files import Node
    from backend.fileserver.limits import Limits
    from backend.fileserver.readiness import Readiness
    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Tattach, Tauth, Tversion

log = logging.getLogger(__name__)

MIN_MSIZE: Final = 2048
"""Below this a client is refused: a full directory entry fits several times, whatever its dialect,
and so does a walk of 16 names.  Mini-OS asks for this on rings of order 1: half of one direction
(``9pfront.c``).  Linux asks for 4096 at least (net/9p/client.c)."""

MAX_ANAME: Final = 4096
"""Bytes in the name of a tree to attach: ``PATH_MAX``, so one request cannot walk without end."""

_DIALECTS: Final = {dialect.value: dialect for dialect in Dialect}
"""Whole names, suffix and all: plain 9P2000 is not served, so an unknown suffix cannot be left
out to make one that is (version(5))."""

ANONYMOUS_AFID: Final = Fid(0)
"""What Mini-OS sends for an afid where it means none.  It fills in an aname, too, ``root``, which
names nothing: QEMU and xen-9pfsd look at nobody's (``9pfront.c``)."""


class Session:
    """State between messages.  Handlers get it as their first argument; one thread calls them."""

    __slots__ = (
        "dialect",
        "fids",
        "limits",
        "locks",
        "max_msize",
        "msize",
        "places",
        "readiness",
        "tree",
    )

    def __init__(
        self,
        tree: Tree,
        limits: Limits,
        max_msize: int,
        readiness: Readiness | None = None,
    ) -> None:
        """Serve ``tree``, and close it at the end; the transport can carry ``max_msize`` bytes.

        ``readiness`` is what the tree's streams use, if it has any, and closed at the end as well.
        """
        self.tree: Final = tree
        self.limits: Final = limits
        self.max_msize: Final = max_msize
        self.readiness: Final = readiness
        self.fids: Final = FidTable(limits.fids)
        self.places: Final = PlaceTable()
        self.locks: Final = LockedFiles(limits.locks)
        self.dialect: Dialect | None = None
        """``None`` until a Tversion has been agreed to."""
        self.msize = max_msize

    def reset(self) -> None:
        """As before the first message: no fid, no dialect."""
        for state in self.fids.values():
            if state.remove_on_close:
                with suppress(OSError):  # nobody is left to be told
                    unlink_fid(self, state)
        for error in self.fids.drop_all():
            log.warning("closing a file that the client left open: %s", error)
        self.dialect = None
        self.msize = self.max_msize

    def close(self) -> None:
        """Drop every fid and the tree."""
        self.reset()
        self.tree.close()
        if self.readiness is not None:
            self.readiness.close()

    def agree(self, msize: int, version: bytes) -> None:
        """Begin anew with the dialect called ``version``, if it is one that is served."""
        self.dialect = _DIALECTS.get(version)
        self.msize = msize


def version(session: Session, request: Tversion) -> Rversion:
    """Begin a session; all fids of an earlier one are forgotten, whether or not it can begin.

    An unknown dialect is answered as version(5) has it: ``unknown``, and no session begins.
    Raises ``OSError`` EMSGSIZE for an msize below ``MIN_MSIZE``.
    """
    session.reset()
    msize = min(request.msize, session.max_msize)
    if msize < MIN_MSIZE:
        raise OSError(errno.EMSGSIZE, f"msize {request.msize}: {MIN_MSIZE} is the least")
    session.agree(msize, request.version)
    return Rversion(
        request.tag, msize, VERSION_UNKNOWN if session.dialect is None else request.version
    )


def auth(session: Session, request: Tauth) -> NoReturn:  # noqa: ARG001 -- a handler's signature
    """Refuse: nobody has to prove anything, the device itself says whose it is.

    Raises ``OSError`` ENOENT, which diod's clients take to mean
    that authentication is not required; attach(5) leaves the text of that error open.
    """
    raise OSError(errno.ENOENT, "no authentication is required")


def attach(session: Session, request: Tattach) -> Rattach:
    """Make a fid the root, or the directory below it that ``aname`` names.

    ``aname`` picks a place to begin, not a boundary: ``..`` leads up to the export's root.  The
    user is not asked for a proof; ``n_uname`` is who owns what is created.  With afid 0 ``aname``
    is not looked at.

    Raises ``OSError``: EPROTO before Tversion, EINVAL with an authentication fid (there is no
    authentication), what ``check_free`` says, what a walk to ``aname`` says.
    """
    if session.dialect is None:
        raise OSError(errno.EPROTO, "Tattach before Tversion")
    if request.afid not in (NOFID, ANONYMOUS_AFID):
        raise OSError(errno.EINVAL, f"afid {request.afid}: no authentication is asked for")
    session.fids.check_free(request.fid)
    node = _find(session.tree, b"" if request.afid == ANONYMOUS_AFID else request.aname)
    uid = NO_CHANGE if request.n_uname == NONUNAME else request.n_uname
    session.fids.add(request.fid, FidState(node, uid=uid))
    return Rattach(request.tag, node.qid)


def _find(tree: Tree, aname: bytes) -> Node:
    """Walk down a path; ``.``, ``..`` and links in it are refused."""
    if len(aname) > MAX_ANAME:
        raise OSError(errno.ENAMETOOLONG, f"aname of {len(aname)} bytes")
    node = tree.root.hold()
    for name in filter(None, aname.split(b"/")):
        try:
            check_name(name)
            below = tree.lookup(node, name)
        finally:
            node.release()
        node = below
    return node
