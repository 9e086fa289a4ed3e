"""Xen's own ``xen-9pfsd`` as a process of this machine, and how a backend is ended."""

from __future__ import annotations

import os
import select
import signal
from typing import Final

from backend.hook.places import NAME

IN_ORDER: Final = signal.SIGHUP
"""What makes Xen's daemon leave in order; at any other signal its node stays behind."""


def daemons(proc: str = "/proc") -> list[int]:
    """Our user's processes that run Xen's program.

    A process is known by what anybody may read of it, for a supervisor under systemd lacks the
    right to see what file another executes: by its name, and by the word it was called with.  Of a
    script named ``xen-9pfsd``, as ours is, that word names the interpreter.
    """
    return sorted(
        int(name)
        for name in os.listdir(proc)
        if name.isdigit() and _is_daemon(os.path.join(proc, name))
    )


def end(pid: int, number: signal.Signals, seconds: float) -> bool:
    """Ask a process to end, and wait; false if it does not within the time.  Raises ``OSError``."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(process, number)
        return bool(select.select([process], [], [], seconds)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(process)


def _is_daemon(process: str) -> bool:
    try:
        with open(f"{process}/status", encoding="ascii", errors="replace") as file:
            lines = (line.partition(":") for line in file)
            status = {key: value.strip() for key, _, value in lines}
        with open(f"{process}/cmdline", "rb") as file:
            called = file.read(4096).partition(b"\0")[0]
    except OSError:  # gone meanwhile
        return False
    # Anybody may call a process anything; whose it is, is not for him to choose.
    if int(status["Uid"].split()[1]) != os.geteuid():
        return False
    return status["Name"].startswith(NAME) and os.path.basename(called).startswith(NAME.encode())
