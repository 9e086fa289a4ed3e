"""The memory barrier that rings over shared pages need on this processor, for both ends."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_KEEPS_ORDER: Final = frozenset(("x86_64", "i686", "i586", "i486", "i386"))


def barrier_for(machine: str) -> Callable[[], None] | None:
    """The barrier for a processor called ``machine`` (uname(2)); ``None`` where none is needed.

    x86 keeps loads in order with loads, stores with stores, and stores behind earlier loads (Intel
    SDM 3A, 8.2.2; AMD APM 2, 7.2): all that ``protocol.xenpv.ring`` asks for.

    Arm64 and others keep none of these orders.  There the barrier releases a lock and takes it
    again.  The release is a store-release (of the C library's semaphore or mutex, or of PyMutex),
    which no earlier load or store may follow; the taking is a load-acquire of the same word, which
    no later load or store may precede; and a load-acquire stays behind an earlier store-release
    (Arm ARM, B2.3, "barrier-ordered-before").  Together that is a full barrier, with nothing but
    the standard library.
    """
    return None if machine in _KEEPS_ORDER else _lock_barrier()


def _lock_barrier() -> Callable[[], None]:
    # One lock for each thread: two that shared one could find it taken, or release it twice.
    local = threading.local()

    def barrier() -> None:
        lock = getattr(local, "lock", None)
        if lock is None:
            lock = local.lock = threading.Lock()
            lock.acquire()
        lock.release()
        lock.acquire()

    return barrier


BARRIER: Final = barrier_for(os.uname().machine)
