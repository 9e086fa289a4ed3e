"""Landlock: what the process may open, create and remove, by its own promise to the kernel.

Behind the namespaces it is the second wall; for a process that may not have namespaces, the first.
It does not cover everything (landlock(7)): looking at a file (stat), and changing its mode, owner,
times or extended attributes, stay possible wherever the process can name the file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backend.confinement import libc
from backend.confinement.walls import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable

# linux/landlock.h, LANDLOCK_ACCESS_FS_*
_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_REMOVE_DIR: Final = 1 << 4
_REMOVE_FILE: Final = 1 << 5
_MAKE_CHAR: Final = 1 << 6
_MAKE_DIR: Final = 1 << 7
_MAKE_REG: Final = 1 << 8
_MAKE_SOCK: Final = 1 << 9
_MAKE_FIFO: Final = 1 << 10
_MAKE_BLOCK: Final = 1 << 11
_MAKE_SYM: Final = 1 << 12
_REFER: Final = 1 << 13  # rename and link across directories, ABI 2
_TRUNCATE: Final = 1 << 14  # ABI 3
_IOCTL_DEV: Final = 1 << 15  # ABI 5

_NET: Final = 1 << 0 | 1 << 1  # LANDLOCK_ACCESS_NET_BIND_TCP, _CONNECT_TCP
_SCOPES: Final = 1 << 0 | 1 << 1  # LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, _SIGNAL

_READ: Final = _READ_FILE | _READ_DIR
_WRITE: Final = (
    _WRITE_FILE
    | _TRUNCATE
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _MAKE_DIR
    | _MAKE_REG
    | _MAKE_SOCK
    | _MAKE_FIFO
    | _MAKE_SYM
    | _REFER
)
_NEVER: Final = _EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV

_FIRST_ABI: Final = 2
"""Before it, Landlock forbids every rename and link from one directory to another."""

_ALL: Final = {2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""The file accesses that each version added to what there was."""

_SIZES: Final = {2: 8, 4: 16, 6: 24}
"""Bytes of the structure that each version reads: file access, network, scopes."""


def restrict(directories: Iterable[int], *, read_only: bool) -> int:
    """Keep this thread, and those it will start, to what lies below the open ``directories``.

    The ABI that is used.  Wants no-new-privs.  Raises ``Unsupported``, ``OSError``.
    """
    abi = _usable_abi()
    handled = _of_version(_ALL, abi)
    ruleset = libc.landlock_ruleset(
        handled,
        _NET if abi >= 4 else 0,
        _SCOPES if abi >= 6 else 0,
        _of_version(_SIZES, abi),
    )
    try:
        allowed = (_READ if read_only else _READ | _WRITE) & handled & ~_NEVER
        for directory in directories:
            libc.landlock_allow(ruleset, allowed, directory)
        libc.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)
    return abi


def _usable_abi() -> int:
    try:
        abi = libc.landlock_abi()
    except OSError as error:
        raise Unsupported(f"the kernel has no Landlock ({error.strerror})") from None
    if abi < _FIRST_ABI:
        raise Unsupported(f"Landlock ABI {abi} forbids renaming between directories (Linux 5.19)")
    return abi


def _of_version(table: dict[int, int], abi: int) -> int:
    return table[max(version for version in table if version <= abi)]
