"""Tlock, Tgetlock: record locks, for fcntl(2) and flock(2) of the client's programs.

Linux arbitrates between the processes of one guest itself, before it asks; what it cannot know is
who else uses the file.  It takes LOCK_BLOCKED for EAGAIN, or, where the program waits (F_SETLKW),
sleeps up to 30 s before it asks again; any other failure it learns best from an error reply's
errno, because LOCK_ERROR and LOCK_GRACE both become ENOLCK (fs/9p/vfs_file.c).

No deadlock is looked for: within a guest Linux does so, and between two guests nobody sees it.
No wait lasts longer than ``WAIT_SECONDS`` here, and after each the program can be interrupted.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from backend.fileserver.locked_files import elsewhere
from backend.fileserver.locks import MAX_END, Claim, LockOwner
from backend.fileserver.parked import Parked
from protocol.ninep.flags import (
    LOCK_BLOCKED,
    LOCK_FLAGS_BLOCK,
    LOCK_FLAGS_RECLAIM,
    LOCK_SUCCESS,
    LOCK_TYPE_RDLCK,
    LOCK_TYPE_UNLCK,
    LOCK_TYPE_WRLCK,
)
from protocol.ninep.messages import Rgetlock, Rlock

if TYPE_CHECKING:
    from backend.fileserver.fids import FidState
    from backend.fileserver.locked_files import LockedFile
    from backend.fileserver.locks import Range
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Tgetlock, Tlock

WAIT_SECONDS: Final = 5.0
"""How long a Tlock waits.  Until its reply a program in Linux can only be killed, not interrupted;
after LOCK_BLOCKED it can, but sleeps through the moment at which the lock is free."""

MAX_CLIENT_ID: Final = 255
"""Bytes in a client's name, which is kept with its locks: ``HOST_NAME_MAX`` of POSIX; Linux has 64.
"""

_ASKED: Final = {
    LOCK_TYPE_RDLCK: (False,),
    LOCK_TYPE_WRLCK: (True,),
    LOCK_TYPE_UNLCK: (False, True),
}
"""Whether an exclusive lock is asked for: a shared one would meet exclusive locks only."""

_KNOWN_FLAGS: Final = LOCK_FLAGS_BLOCK | LOCK_FLAGS_RECLAIM


def lock(session: Session, request: Tlock) -> Rlock | Parked:
    """Take or give back the lock of some bytes of an open file.

    With LOCK_FLAGS_BLOCK the reply may come later.  LOCK_FLAGS_RECLAIM changes nothing: there is no
    time of grace after a server's start, because the kernel knows the locks.

    Raises ``OSError``: EBADF (unknown, not open, not to be had for writing), EINVAL (type, flags,
    client_id), EISDIR, what ``_range`` says, ENOLCK or EMFILE when there are too many.
    """
    state = _open_fid(session, request)
    start, end = _range(request)
    if request.flags & ~_KNOWN_FLAGS:
        raise OSError(errno.EINVAL, f"flags {request.flags:#x}")
    owner = LockOwner(request.client_id, request.proc_id)
    if request.type == LOCK_TYPE_UNLCK:
        found = session.locks.find(state)
        if found is not None:
            found.unlock(owner, start, end)
        return Rlock(request.tag, LOCK_SUCCESS)
    claim = Claim(owner, start, end, request.type == LOCK_TYPE_WRLCK)
    file = session.locks.open(session.tree, state)
    if request.flags & LOCK_FLAGS_BLOCK:
        return _wait(file, claim, state, request)
    try:
        done = file.lock(claim, state)
    finally:
        file.settle()
    return Rlock(request.tag, LOCK_SUCCESS if done else LOCK_BLOCKED)


def _wait(file: LockedFile, claim: Claim, state: FidState, request: Tlock) -> Rlock | Parked:
    success = Rlock(request.tag, LOCK_SUCCESS)
    wait = file.queue(claim, state)
    parked = Parked(
        lambda: success if file.attempt(wait) else None,
        lambda: file.leave(wait),
        Rlock(request.tag, LOCK_BLOCKED),
        WAIT_SECONDS,
    )
    try:
        done = file.attempt(wait)
    except OSError:
        parked.release()
        raise
    if not done:
        return parked
    parked.release()
    return success


def getlock(session: Session, request: Tgetlock) -> Rgetlock:
    """Say which lock is in the way of one that is not taken, or LOCK_TYPE_UNLCK.

    Linux always asks with LOCK_TYPE_UNLCK (fs/9p/vfs_file.c), whatever its program wants to know.
    Then an exclusive lock is looked for first, which is in everybody's way, and else a shared one:
    the reply says which it is.  Of a lock that is not this session's no owner is told.

    Raises ``OSError``: EBADF, EINVAL, what ``_range`` says.
    """
    state = _open_fid(session, request)
    start, end = _range(request)
    owner = LockOwner(request.client_id, request.proc_id)
    file = session.locks.find(state)
    for write in _ASKED[request.type]:
        claim = Claim(owner, start, end, write)
        found = elsewhere(state.file, claim) if file is None else file.in_the_way(claim)
        if found is not None:
            return _describe(request, found)
    return Rgetlock(request.tag, LOCK_TYPE_UNLCK, *request[3:])


def _describe(request: Tgetlock, found: Claim) -> Rgetlock:
    return Rgetlock(
        request.tag,
        LOCK_TYPE_WRLCK if found.write else LOCK_TYPE_RDLCK,
        found.start,
        0 if found.end == MAX_END else found.end - found.start + 1,
        found.owner.proc_id,
        found.owner.client_id,
    )


def _open_fid(session: Session, request: Tlock | Tgetlock) -> FidState:
    state = session.fids[request.fid]
    state.file.fileno()  # EBADF where nothing is open that could be locked
    if request.type not in _ASKED:
        raise OSError(errno.EINVAL, f"lock type {request.type}")
    if len(request.client_id) > MAX_CLIENT_ID:
        raise OSError(errno.EINVAL, f"a client_id of {len(request.client_id)} bytes")
    return state


def _range(request: Tlock | Tgetlock) -> Range:
    """The first and last byte.  Raises ``OSError`` EINVAL, EOVERFLOW, as fcntl(2) does."""
    start, length = request.start, request.length
    if start > MAX_END:
        raise OSError(errno.EINVAL, f"a lock from {start}: {MAX_END} is the last byte")
    if length > MAX_END - start + 1:
        raise OSError(errno.EOVERFLOW, f"a lock of {length} bytes from {start}")
    return start, start + length - 1 if length else MAX_END
