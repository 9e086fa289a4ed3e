"""Record locks on an open file: this process's, as the server keeps them for all its clients."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.ninep import flags as f
from protocol.ninep.messages import Rgetlock, Rlock, Tgetlock, Tlock

if TYPE_CHECKING:
    from frontend_stub.file import File

PAUSE: Final = 0.1
"""Seconds before a server that has let us wait, or would not, is asked again."""


class Lock(NamedTuple):
    """A lock that somebody holds."""

    shared: bool
    start: int
    length: int
    """0: to the end of the file."""
    proc_id: int
    """The process of ``client_id``; 0 and ``b""`` where the server does not say."""
    client_id: bytes


def lock(file: File, start: int, length: int, *, shared: bool, wait: bool) -> bool:
    """See ``File.lock``."""
    kind, flags = _kind(shared=shared), f.LOCK_FLAGS_BLOCK if wait else 0
    while _ask(file, kind, flags, start, length) == f.LOCK_BLOCKED:
        if not wait:
            return False
        time.sleep(PAUSE)
    return True


def unlock(file: File, start: int, length: int) -> None:
    """See ``File.unlock``."""
    _ask(file, f.LOCK_TYPE_UNLCK, 0, start, length)


def in_the_way(file: File, start: int, length: int, *, shared: bool) -> Lock | None:
    """See ``File.lock_in_the_way``."""
    kind, fid = _kind(shared=shared), file.fid
    reply = file.client.call(
        lambda tag: Tgetlock(tag, fid, kind, start, length, *_owner()), Rgetlock, file.name
    )
    if reply.type == f.LOCK_TYPE_UNLCK:
        return None
    return Lock(reply.type == f.LOCK_TYPE_RDLCK, *reply[2:])


def _ask(file: File, kind: int, flags: int, start: int, length: int) -> int:
    fid = file.fid
    reply = file.client.call(
        lambda tag: Tlock(tag, fid, kind, flags, start, length, *_owner()), Rlock, file.name
    )
    if reply.status not in (f.LOCK_SUCCESS, f.LOCK_BLOCKED):
        # What Linux makes of LOCK_ERROR and LOCK_GRACE.
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), file.name)
    return reply.status


def _kind(*, shared: bool) -> int:
    return f.LOCK_TYPE_RDLCK if shared else f.LOCK_TYPE_WRLCK


def _owner() -> tuple[int, bytes]:
    return os.getpid(), os.fsencode(os.uname().nodename)
