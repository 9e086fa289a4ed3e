"""Resource limits that no guest's work comes near; what a guest can make grow has its own bounds.

Left alone: NOFILE, which the process raises when it starts and ``fileserver.limits`` divides;
FSIZE, as files may be as large as their file system allows; NPROC, which counts all processes of a
user, so that one guest's worker would take another's threads, and spares root anyway.
"""

from __future__ import annotations

import resource
from typing import Final

_ADDRESS_SPACE: Final = 8 << 30
"""Bytes.  A worker has some 300 MiB mapped: nine rings of 2 MiB, its heap, and 64 MiB reserved for
each thread that allocates; a runaway meets ``MemoryError``, which a guest sees as EIO, before
Dom0's memory is gone."""

_LIMITS: Final = {
    resource.RLIMIT_CORE: 0,  # a core file would put the guest's data on Dom0's disk
    resource.RLIMIT_AS: _ADDRESS_SPACE,
    resource.RLIMIT_MEMLOCK: 0,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_NICE: 0,
    resource.RLIMIT_RTPRIO: 0,
}


def lower() -> None:
    """Lower the limits; one that is lower already stays so.  Raises ``OSError``."""
    for number, most in _LIMITS.items():
        _soft, hard = resource.getrlimit(number)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(number, (value, value))
