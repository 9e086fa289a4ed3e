"""Twalk, Tclunk, Tremove: from one fid to the next, and the end of a fid."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

from backend.fileserver.changes import unlink_fid
from backend.fileserver.fids import FidState
from backend.fileserver.names import DOT, DOT_DOT, check_name
from backend.fileserver.syncing import closed
from protocol.ninep.messages import Rclunk, Rremove, Rwalk
from protocol.ninep.unchecked import unchecked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.fileserver.deferred import Deferred, Steps
    from backend.fileserver.files import Node
    from backend.fileserver.places import Place, PlaceTable
    from backend.fileserver.session import Session
    from backend.fileserver.tree import Tree
    from protocol.ninep.ids import Fid, Tag
    from protocol.ninep.messages import Qid, Tclunk, Tremove, Twalk


class _Walk:
    """Where a walk has come to; it holds the node and, if known, the directory it was found in."""

    __slots__ = ("name", "node", "parent", "qids")

    def __init__(self, start: Node) -> None:
        self.node = start.hold()
        self.parent: Node | None = None
        self.name = b""
        self.qids: list[Qid] = []

    def go(self, tree: Tree, names: Iterable[bytes]) -> None:
        """One after the other.  Raises ``OSError`` where it goes no further."""
        for name in names:
            if name == DOT:
                self._stay()
            elif name == DOT_DOT:
                self._go_up(tree)
            else:
                check_name(name)
                below = tree.lookup(self.node, name)
                if self.parent is not None:
                    self.parent.release()
                self.parent, self.node, self.name = self.node, below, name
            self.qids.append(self.node.qid)

    def _stay(self) -> None:
        # walk(5) says that "." is not used; diodls walks to each entry that it lists all the same.
        if self.node.kind != stat.S_IFDIR:
            raise OSError(errno.ENOTDIR, "only a directory has an entry '.'")

    def _go_up(self, tree: Tree) -> None:
        above = tree.parent(self.node)
        self.give_up()
        # By which name the directory above is known to its own parent was never asked.
        self.node, self.parent = above, None

    def give_up(self) -> None:
        self.node.release()
        if self.parent is not None:
            self.parent.release()

    def arrive(self, places: PlaceTable, start: FidState) -> Place | None:
        """The place that was come to, if its name is known; what remains held is ``node``."""
        if self.parent is None:
            if self.node is not start.node or start.place is None:
                return None
            return start.place.hold()
        place = places.at(self.parent, self.name)
        self.parent.release()
        return place


def walk(session: Session, request: Twalk) -> Rwalk:
    """Go from ``fid`` down the names, one component at a time; the end becomes ``newfid``.

    ``..`` goes up, and stays at the root; ``.`` stays in a directory.  No link is followed: one can
    be walked to, not through (ENOTDIR).  If a name after the first
    fails, the qids so far are the answer and ``newfid`` is left alone.  ``newfid`` may be ``fid``;
    then ``fid`` itself goes on, unless it is open (walk(5)).  No names: ``newfid`` is a copy.

    Raises ``OSError``: EBADF, EINVAL (a name, an open fid that would have to go on), what
    ``check_free`` says of ``newfid``, and whatever stopped the first step.
    """
    fids = session.fids
    start = fids[request.fid]
    in_place = request.newfid == request.fid
    if not in_place:
        fids.check_free(request.newfid)
    elif start.is_open and request.wnames:
        raise OSError(errno.EINVAL, "an open fid cannot walk away")
    way = _Walk(start.node)
    try:
        way.go(session.tree, request.wnames)
    except OSError:
        way.give_up()
        if not way.qids:
            raise
        return Rwalk(request.tag, tuple(way.qids))
    place = way.arrive(session.places, start)
    if in_place:
        start.move(way.node, place)
    else:
        fids.add(request.newfid, FidState(way.node, place, start.uid))
    return unchecked(Rwalk, (request.tag, tuple(way.qids)))


def clunk(session: Session, request: Tclunk) -> Rclunk | Deferred:
    """Forget a fid; where its file was opened with ORCLOSE, remove that too, as ``remove`` does.

    The fid is gone in any case; an error is what closing its file reported.  Where closing waits,
    the reply comes when it is done: whatever the client asks for after that finds the file as it
    is to be.
    """
    if session.fids[request.fid].remove_on_close:
        return _removed(session, request.fid, Rclunk(request.tag))
    file = session.fids.end(request.fid)
    steps = file.closing()
    if steps is None:
        file.close()
        return unchecked(Rclunk, (request.tag,))
    return clunked(steps, request.tag)


def remove(session: Session, request: Tremove) -> Deferred:
    """Remove the file that a fid stands for, and forget the fid in any case (remove(5)).

    Raises ``OSError``: EBADF, and what ``unlink_fid`` says.
    """
    return _removed(session, request.fid, Rremove(request.tag))


def _removed(session: Session, fid: Fid, reply: Rremove | Rclunk) -> Deferred:
    state = session.fids[fid]
    try:
        unlink_fid(session, state)
    finally:
        yield from closed(session.fids.end(fid))
    return reply


def clunked(steps: Steps, tag: Tag) -> Deferred:
    """The end of a fid whose file is closed in ``steps``."""
    yield from steps
    return Rclunk(tag)
