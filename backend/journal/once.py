"""What must not be done twice: one line for each message, and how to find out whether it was done.

Before such a request is carried out, what it is about to change is looked at and written down.  A
worker that finds such a record, of a request that was never committed, looks again:

- Tmkdir, Tsymlink, Tmknod, Tlcreate: it happened if nothing had the name, and what was asked
  for has it now.  That gets its owner and mode again, and is answered (Tlcreate: opened).
- Tlink: if nothing had the name, and the fid's file has it now.  It is answered.
- Tunlinkat, Tremove: if the name was a file's, which has it no more.  Places and fid end.
- Trenameat, Trename: if the file with the old name has the new one now.  Places move.
- Tclunk of an attribute's value: if it was not there, and is there now with this value; or, if it
  is to be removed, was there and is not.  The fid ends.  With ORCLOSE, as Tremove.
- Twrite with O_APPEND: if the data is in what was appended since.  What is missing follows.

Everything else can be done twice: what only looks; Twrite at an offset, Tsetattr, Tfsync, which
lead to the same state; what changes the session only, which a worker that dies takes with it.
"""

from __future__ import annotations

import errno
import os
import stat
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backend.fileserver import changes, opening
from backend.fileserver.files import Device, New
from backend.fileserver.names import check_name
from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.layers import layer
from backend.fileserver.xattrs import ValueWriter
from protocol.ninep import messages as m
from protocol.ninep.flags import DOTL_EXCL, DOTL_TRUNC

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backend.fileserver.fids import FidState
    from backend.fileserver.files import Node
    from backend.fileserver.session import Session
    from backend.fileserver.tree import Tree
    from backend.journal.layout import Begun
    from protocol.ninep.messages import Message, Qid

Before = tuple[int, int, int, int, int]
"""Whether it is there, mode, device, inode, size."""

NOTHING: Final[Before] = (0, 0, 0, 0, 0)

MOST_LOOKED_AT: Final = 16 << 20
"""Bytes that others may have appended since; a write of ours has at most a ring's."""


class Entry(NamedTuple):
    """A name in a directory, as a request means it."""

    parent: Node
    name: bytes


def look(session: Session, entry: Entry) -> Before:
    """What Dom0 has under the name now.  Raises ``OSError`` where that cannot be known."""
    try:
        directory, name = session.tree.locate(*entry)
        found = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    except FileNotFoundError:
        return NOTHING
    return 1, found.st_mode, found.st_dev, found.st_ino, found.st_size


def _is(before: Before | Begun, now: Before) -> bool:
    """Whether two looks have found the same file."""
    return bool(now[0]) and tuple(before[-3:-1]) == now[2:4]


class Once(NamedTuple):
    """How one kind of request is done once; ``Any`` is its message."""

    before: Callable[[Session, Any], Before | None]
    """How what it is about is now; ``None`` where it may be done twice.  Raises ``OSError`` where
    it will fail."""
    finish: Callable[[Session, Any, Begun], Message | None]
    """The reply, if it has happened; else ``None``: it is to be carried out."""


def _named(fid: str) -> Callable[[Session, Any], Entry]:
    def entry(session: Session, request: Any) -> Entry:  # noqa: ANN401 -- one of several messages
        check_name(request.name)
        return Entry(session.fids[getattr(request, fid)].node, request.name)

    return entry


_DFID = _named("dfid")
_DIRFID = _named("dirfid")
_FID = _named("fid")


def _old_name(session: Session, request: m.Trenameat) -> Entry:
    check_name(request.oldname)
    return Entry(session.fids[request.olddirfid].node, request.oldname)


def place_of(session: Session, request: m.Trename | m.Tremove | m.Tclunk | m.Twstat) -> Entry:
    """As it was found; whether it is there still is ``entry_of``'s to say."""
    place = session.fids[request.fid].place
    if place is None or place.parent is None:
        raise FileNotFoundError
    return Entry(place.parent, place.name)


def before(session: Session, entry: Entry) -> Before | None:
    """As ``look``; ``None`` where what is there is not in Dom0 yet: what is done to its name is the
    session's business, and goes with the worker.
    """
    atomic = layer(session.tree, AtomicCommitTree)
    if atomic is not None and atomic.pending.at(*entry) is not None:
        return None
    return look(session, entry)


def _looked(entry: Callable[[Session, Any], Entry]) -> Callable[[Session, Any], Before | None]:
    return lambda session, request: before(session, entry(session, request))


def _gone(session: Session, entry: Entry) -> None:
    atomic = layer(session.tree, AtomicCommitTree)
    if atomic is not None:
        atomic.gone(*entry)
    session.places.removed(*entry)


def finished(session: Session, entry: Entry, new: New, begun: Begun) -> Qid | None:
    """Where the name came to be since as that of ``new``: its qid; it has owner and mode then.

    Raises ``OSError``.
    """
    return None if begun.exists else session.tree.finished(*entry, new)


def _mkdir(session: Session, request: m.Tmkdir, begun: Begun) -> Message | None:
    mode = stat.S_IFDIR | request.mode & opening.PERMISSIONS
    new = New(mode, opening.new_owner(session.fids[request.dfid], request.gid))
    qid = finished(session, _DFID(session, request), new, begun)
    return None if qid is None else m.Rmkdir(request.tag, qid)


def _mknod(session: Session, request: m.Tmknod, begun: Begun) -> Message | None:
    mode = (stat.S_IFMT(request.mode) or stat.S_IFREG) | request.mode & opening.PERMISSIONS
    new = New(
        mode,
        opening.new_owner(session.fids[request.dfid], request.gid),
        device=Device(request.major, request.minor),
    )
    qid = finished(session, _DFID(session, request), new, begun)
    return None if qid is None else m.Rmknod(request.tag, qid)


def _symlink(session: Session, request: m.Tsymlink, begun: Begun) -> Message | None:
    owner = opening.new_owner(session.fids[request.fid], request.gid)
    new = New(stat.S_IFLNK, owner, target=request.symtgt)
    qid = finished(session, _FID(session, request), new, begun)
    return None if qid is None else m.Rsymlink(request.tag, qid)


def _lcreate(session: Session, request: m.Tlcreate, begun: Begun) -> Message | None:
    owner = opening.new_owner(session.fids[request.fid], request.gid)
    new = New(
        stat.S_IFREG | request.mode & opening.PERMISSIONS,
        owner,
        flags=opening.host_flags(request.flags),
    )
    if finished(session, _FID(session, request), new, begun) is None:
        return None
    # As what it is by now; nothing in it is ours to take away.
    return opening.lcreate(
        session, request._replace(flags=request.flags & ~(DOTL_EXCL | DOTL_TRUNC))
    )


def _link(session: Session, request: m.Tlink, begun: Begun) -> Message | None:
    node = session.fids[request.fid].node
    status = os.fstat(node.fd)
    now = look(session, _DFID(session, request))
    if begun.exists or now[:1] + now[2:4] != (1, status.st_dev, status.st_ino):
        return None
    return m.Rlink(request.tag)


def _unlinkat(session: Session, request: m.Tunlinkat, begun: Begun) -> Message | None:
    entry = _DIRFID(session, request)
    if not begun.exists or _is(begun, look(session, entry)):
        return None
    _gone(session, entry)
    return m.Runlinkat(request.tag)


def _remove(session: Session, request: m.Tremove | m.Tclunk, begun: Begun) -> Message | None:
    entry = place_of(session, request)
    if not begun.exists or _is(begun, look(session, entry)):
        return None
    _gone(session, entry)
    session.fids.end(request.fid).close()
    return m.Rremove(request.tag)


def _renameat(session: Session, request: m.Trenameat, begun: Begun) -> Message | None:
    check_name(request.newname)
    new = Entry(session.fids[request.newdirfid].node, request.newname)
    if not moved(session, _old_name(session, request), new, begun):
        return None
    return m.Rrenameat(request.tag)


def _rename(session: Session, request: m.Trename, begun: Begun) -> Message | None:
    check_name(request.name)
    new = Entry(session.fids[request.dfid].node, request.name)
    if not moved(session, place_of(session, request), new, begun):
        return None
    return m.Rrename(request.tag)


def moved(session: Session, old: Entry, new: Entry, begun: Begun) -> bool:
    """Whether the file was moved; if so, places follow."""
    if not begun.exists or _is(begun, look(session, old)) or not _is(begun, look(session, new)):
        return False
    atomic = layer(session.tree, AtomicCommitTree)
    if atomic is not None:
        atomic.moved(*old, *new)
    changes.follow(session, *old, *new)
    return True


def _at_clunk(session: Session, request: m.Tclunk) -> Before | None:
    """Whether the attribute is there that is set or removed when the fid is clunked, or who has the
    name that is removed then.
    """
    state = session.fids[request.fid]
    if state.remove_on_close:
        return before(session, place_of(session, request))
    file = state.file
    return (int(_current(file) is not None), 0, 0, 0, 0) if type(file) is ValueWriter else None


def _current(value: ValueWriter) -> bytes | None:
    try:
        return value.current()
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return None


def _clunk(session: Session, request: m.Tclunk, begun: Begun) -> Message | None:
    if session.fids[request.fid].remove_on_close:
        removed = _remove(session, request, begun)
        return None if removed is None else m.Rclunk(request.tag)
    value = session.fids[request.fid].file
    if type(value) is not ValueWriter or len(value.so_far) != value.size:
        return None
    now = _current(value)
    if value.removes:
        if not begun.exists or now is not None:
            return None
    elif begun.exists or now != bytes(value.so_far):
        return None
    session.fids.end(request.fid).discard()
    return m.Rclunk(request.tag)


ONCE: Final[Mapping[type[Message], Once]] = MappingProxyType(
    {
        m.Tmkdir: Once(_looked(_DFID), _mkdir),
        m.Tsymlink: Once(_looked(_FID), _symlink),
        m.Tmknod: Once(_looked(_DFID), _mknod),
        m.Tlcreate: Once(_looked(_FID), _lcreate),
        m.Tlink: Once(_looked(_DFID), _link),
        m.Tunlinkat: Once(_looked(_DIRFID), _unlinkat),
        m.Tremove: Once(_looked(place_of), _remove),
        m.Trenameat: Once(_looked(_old_name), _renameat),
        m.Trename: Once(_looked(place_of), _rename),
        m.Tclunk: Once(_at_clunk, _clunk),
    }
)


def appended(state: FidState, tree: Tree, data: bytes, begun: Begun) -> int:
    """How many bytes of ``data`` are at the end of an O_APPEND file, or further up in what has
    been appended since it was ``begun.size`` bytes long.

    A worker that is killed in the middle of a write may have written a part.
    """
    size = os.fstat(state.node.fd).st_size
    length = min(size - begun.size, MOST_LOOKED_AT)
    if length <= 0:
        return 0
    file = tree.open(state.node, os.O_RDONLY)
    try:
        since = bytearray(length)
        since = since[: file.read([memoryview(since)], begun.size)]
    finally:
        file.close()
    if data in since:
        return len(data)
    # Only a tail may be unfinished: whoever has written after it, did so after our end.
    return len(since) if data.startswith(bytes(since)) else 0
