"""Twstat: chmod, chown, truncate, utimes, rename and fsync in one message."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, Final

from backend.fileserver.changes import entry_of, rename_fid
from backend.fileserver.dotu.modes import permissions
from backend.fileserver.dotu.stats import NO_TIME, name_of
from backend.fileserver.files import NO_CHANGE, Changes, Owner
from backend.fileserver.names import check_name
from backend.fileserver.syncing import synced
from backend.fileserver.syscalls import OMIT, Timespec
from protocol.ninep.flags import DMDIR
from protocol.ninep.ids import NONUNAME
from protocol.ninep.messages import Rwstat

if TYPE_CHECKING:
    from backend.fileserver.deferred import Deferred
    from backend.fileserver.fids import FidState
    from backend.fileserver.files import File
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Stat, Twstat

NO_MODE: Final = 0xFFFF_FFFF
NO_LENGTH: Final = 0xFFFF_FFFF_FFFF_FFFF

_MAX_DIGITS: Final = 10


def wstat(session: Session, request: Twstat) -> Rwstat | Deferred:
    """Change what is not all ones, or not empty; if that is nothing, it means fsync (stat(5)).

    Of a fid that is not open there is nothing to sync: Linux sends this for a chown(2) that changes
    nothing, too, of any kind of file.

    All that can be checked is checked before anything is changed.  Then come length, owner, mode,
    times, and the name last; what was changed before the host refused stays changed.  A new name
    replaces what has it, as rename(2) does and Linux needs, where stat(5) has an error.

    ``type``, ``dev``, ``qid``, ``muid``, ``n_muid`` and ``extension`` are not looked at: Linux
    sends a ``muid`` with every rename.

    Raises ``OSError``: EBADF; EINVAL (a mode that would make a directory of a file, or a file of a
    directory; an owner that is no number); what ``permissions``, ``check_name`` and ``entry_of``
    say; EFBIG, EISDIR for a directory's length; and what the system calls say.
    """
    state = session.fids[request.fid]
    asked = request.stat
    changes = _changes(state, asked)
    renamed = asked.name not in (b"", name_of(state))
    if changes != _NONE:
        if renamed:
            check_name(asked.name)
            entry_of(session.tree, state)
        session.tree.setattr(state.node, state.file if state.is_open else None, changes)
    elif not asked.name and state.is_open:
        return _synced(state.file, Rwstat(request.tag))
    if renamed:
        rename_fid(session, state, None, asked.name)
    return Rwstat(request.tag)


_NONE: Final = Changes()


def _changes(state: FidState, asked: Stat) -> Changes:
    return Changes(
        mode=_mode(state, asked.mode),
        owner=Owner(_owner(asked.n_uid, asked.uid), _owner(asked.n_gid, asked.gid)),
        size=None if asked.length == NO_LENGTH else asked.length,
        atime=OMIT if asked.atime == NO_TIME else Timespec(asked.atime, 0),
        mtime=OMIT if asked.mtime == NO_TIME else Timespec(asked.mtime, 0),
    )


def _mode(state: FidState, mode: int) -> int | None:
    if mode == NO_MODE:
        return None
    if bool(mode & DMDIR) != (state.node.kind == stat.S_IFDIR):
        raise OSError(errno.EINVAL, f"mode {mode:#x} changes the kind of the file")
    return permissions(mode)


def _owner(number: int, text: bytes) -> int:
    """The number counts; a client without numbers may send the digits that Tstat gave it."""
    if number != NONUNAME:
        return number
    if not text:
        return NO_CHANGE
    if not (text.isdigit() and len(text) <= _MAX_DIGITS and int(text) < NONUNAME):
        raise OSError(errno.EINVAL, f"users and groups are numbers here, not {text!r}")
    return int(text)


def _synced(file: File, reply: Rwstat) -> Deferred:
    yield from synced(file)
    return reply
