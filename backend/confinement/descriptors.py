"""Descriptors that came with the fork and are not needed: each could be a way out.

multiprocessing leaves its children the resource tracker's pipe, for example: what is written there
names files of ``/dev/shm`` that a process of Dom0 then removes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_STANDARD_ERROR: Final = 2

_BEYOND: Final = 256
"""Numbers that are looked at above one that is, or was, in use."""


def blind(kept: Iterable[int]) -> None:
    """Let all descriptors but standard error and ``kept`` lead to ``/dev/null``.

    They are not closed: objects of the interpreter own some of them, and would close another
    file's descriptor in the end.  Raises ``OSError``.
    """
    spared = {_STANDARD_ERROR, *kept}
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd not in spared and fd != null and is_open(fd):
            os.dup2(null, fd, inheritable=False)
    os.close(null)


def open_around(known: int) -> frozenset[int]:
    """Those that are open, whose numbers are not far above ``known``, the highest known one.

    The kernel gives the lowest number that is free.  Behind the walls no listing has them.
    """
    return frozenset(filter(is_open, range(known + _BEYOND)))


def is_open(fd: int) -> bool:
    """Whether it is, or was the listing's own."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
