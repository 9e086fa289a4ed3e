"""Capabilities and identity: what is left of being root."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from backend.confinement import libc
from backend.confinement.libc import CapabilitySets

# linux/capability.h
CAP_CHOWN: Final = 0
CAP_DAC_OVERRIDE: Final = 1
CAP_FOWNER: Final = 3
CAP_FSETID: Final = 4
_CAP_SETGID: Final = 6
_CAP_SETPCAP: Final = 8

# linux/prctl.h
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_DROP: Final = 24
_PR_SET_SECUREBITS: Final = 28
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_SECUREBITS: Final = 0xEF
"""NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE, each locked; KEEP_CAPS locked at off: uid 0
stands for no capability any more (linux/securebits.h)."""

_MOST: Final = 64
"""Capabilities that the sets have room for."""


def keep_only(wanted: frozenset[int], user: tuple[int, int] | None = None) -> None:
    """Give up all capabilities but ``wanted``, and every way to get one back; be ``user`` (uid and
    gid), if any, from then on.  Root's further groups go in any case: without capabilities, what
    belongs to a group (disks, say) is what is left of being root.

    Without CAP_SETPCAP the bounding set and the securebits stay as they are; a process that has no
    capability, and no-new-privs, gains none through them.  Must come before threads are started.
    Raises ``OSError``.
    """
    have = libc.capabilities()
    if have.effective >> _CAP_SETPCAP & 1:
        for number in range(_MOST):
            if number in wanted:
                continue
            try:
                libc.prctl(_PR_CAPBSET_DROP, number)
            except OSError:
                break  # EINVAL: the kernel knows no more
        libc.prctl(_PR_SET_SECUREBITS, _SECUREBITS)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    if user is not None:
        _become(*user)
    elif have.effective >> _CAP_SETGID & 1:
        with suppress(PermissionError):  # a user namespace may deny it to its root, too
            os.setgroups([])
    keep = sum(1 << number for number in wanted) & libc.capabilities().permitted
    libc.set_capabilities(CapabilitySets(keep, keep, 0))


def gain_nothing() -> None:
    """No program that is started gives privileges, and no process of the same user looks into this
    one (ptrace, ``/proc/PID/mem``, a core file).  Raises ``OSError``.

    Death with the supervisor (PR_SET_PDEATHSIG) is not asked for: the control channel's end says
    so, and a guest is to outlive a supervisor that is replaced.
    """
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    libc.prctl(_PR_SET_DUMPABLE, 0)


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def be_seen_by_children(*, seen: bool) -> None:
    """Whether a child with the same rights may use this process's ``/proc/PID/fd``.

    The kernel lets a process in there that could trace us (ptrace(2)); ``gain_nothing`` ends that.
    A child that shares our descriptors reaches nothing by it that it does not hold.
    """
    libc.prctl(_PR_SET_DUMPABLE, int(seen))
