"""What 9P2000.u must not do twice, as ``once`` has it for 9P2000.L.

- Tcreate, of any kind: it happened if nothing had the name, and what was asked for has it now.
  That gets its owner and mode again, and the fid becomes it.
- Twstat with a new name: if the file with the old name has the new one now.  Places move.
"""

from __future__ import annotations

import os
import stat
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from backend.fileserver.dotu import opening
from backend.fileserver.dotu.modes import DMREG, host_flags, kind_of, permissions
from backend.fileserver.dotu.stats import name_of
from backend.fileserver.files import New
from backend.fileserver.names import check_name
from backend.fileserver.opening import create_file, iounit, unopened
from backend.journal.once import Entry, Once, before, finished, look, moved, place_of
from protocol.ninep import messages as m
from protocol.ninep.flags import (
    DMDEVICE,
    DMDIR,
    DMLINK,
    DMNAMEDPIPE,
    DMSOCKET,
    DMSYMLINK,
    ORCLOSE,
)
from protocol.ninep.ids import Fid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.fileserver.fids import FidState
    from backend.fileserver.session import Session
    from backend.journal.layout import Begun
    from backend.journal.once import Before
    from protocol.ninep.messages import Message, Qid

_KINDS: Final = {
    DMREG: stat.S_IFREG,
    DMDIR: stat.S_IFDIR,
    DMSYMLINK: stat.S_IFLNK,
    DMNAMEDPIPE: stat.S_IFIFO,
    DMSOCKET: stat.S_IFSOCK,
}
"""What is made for each kind; links are looked at otherwise, and of devices the extension says
which."""


def _entry(session: Session, request: m.Tcreate) -> Entry:
    check_name(request.name)
    return Entry(unopened(session, request.fid).node, request.name)


def _before_create(session: Session, request: m.Tcreate) -> Before | None:
    return before(session, _entry(session, request))


def _create(session: Session, request: m.Tcreate, begun: Begun) -> Message | None:
    _entry(session, request)
    state = session.fids[request.fid]
    if kind_of(request.perm) == DMLINK:
        qid = _linked(session, state, request, begun)
    else:
        qid = _made(session, state, request, begun)
    return None if qid is None else m.Rcreate(request.tag, qid, iounit(session))


def _linked(session: Session, state: FidState, request: m.Tcreate, begun: Begun) -> Qid | None:
    number = request.extension.strip()
    if begun.exists or not number.isdigit():
        return None
    node = session.fids[Fid(int(number))].node
    status = os.fstat(node.fd)
    now = look(session, Entry(state.node, request.name))
    if now[:1] + now[2:4] != (1, status.st_dev, status.st_ino):
        return None
    return opening.become(session, state, node.hold(), request.name)


def _made(session: Session, state: FidState, request: m.Tcreate, begun: Begun) -> Qid | None:
    """The fid becomes what was made; ``None`` where nothing was.  Raises ``OSError``."""
    name, mode, owner = request.name, permissions(request.perm), opening.owner_of(session, state)
    kind = kind_of(request.perm)
    if kind == DMDEVICE:
        made, device = opening.device_of(request)
        new = New(made | mode, owner, device=device)
    elif kind not in _KINDS:
        return None
    elif kind == DMREG:
        new = New(_KINDS[kind] | mode, owner, flags=host_flags(request.mode))
    elif kind in (DMNAMEDPIPE, DMSOCKET):
        new = New(_KINDS[kind] | mode, owner, device=opening.NO_DEVICE)
    else:
        new = New(_KINDS[kind] | mode, owner, target=request.extension)
    if finished(session, Entry(state.node, name), new, begun) is None:
        return None
    if kind == DMREG:
        # As what it is by now; nothing in it is ours to take away.
        flags = new.flags & ~os.O_TRUNC
        qid = create_file(session, state, name, flags=flags, mode=mode, owner=owner)
        state.remove_on_close = bool(request.mode & ORCLOSE)
        return qid
    if kind == DMDIR:
        session.limits.cursors.check(1)
    opening.become_entry(session, state, name)
    if kind == DMDIR:
        return opening.open_state(session, state, os.O_RDONLY)
    return session.tree.getattr(state.node)[0]


def _renamed(session: Session, request: m.Twstat) -> Before | None:
    state, name = session.fids[request.fid], request.stat.name
    if name in {b"", name_of(state)}:
        return None
    check_name(name)
    return before(session, place_of(session, request))


def _wstat(session: Session, request: m.Twstat, begun: Begun) -> Message | None:
    old = place_of(session, request)
    if not moved(session, old, old._replace(name=request.stat.name), begun):
        return None
    return m.Rwstat(request.tag)


ONCE_DOTU: Final[Mapping[type[Message], Once]] = MappingProxyType(
    {
        m.Tcreate: Once(_before_create, _create),
        m.Twstat: Once(_renamed, _wstat),
    }
)
