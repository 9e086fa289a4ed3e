"""A worker's process, held by a descriptor, so that its number cannot come to mean another one."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_EXIT_CODE_TIME: Final = 0.5
"""Seconds the fork server has to tell a dead worker's exit code, which takes it microseconds."""

_UNKNOWN_EXIT: Final = 255
"""What multiprocessing makes of a fork server that died before it could tell."""


class Process:
    """A process that somebody else is the parent of: nobody tells us how it ended."""

    def __init__(self, pid: int) -> None:
        """Raises ``ProcessLookupError`` when there is none."""
        self.pid: Final = pid
        self.end_fd = os.pidfd_open(pid)
        """Polls readable when it has ended."""

    def kill(self) -> None:
        """End it now; harmless when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.end_fd, signal.SIGKILL)

    def exit_code(self) -> int | None:
        """How it ended, a signal as a negative number; ``None`` where nobody knows."""
        return None

    def close(self) -> None:
        """Let go of it."""
        os.close(self.end_fd)


class ForkedProcess(Process):
    """A process of our fork server's."""

    def __init__(self, process: ForkServerProcess) -> None:
        """It may have ended already, and been waited for by the fork server."""
        self._process = process
        self._gone = False
        try:
            super().__init__(process.pid or 0)
        except ProcessLookupError:
            # Otherwise not the sentinel: that is a pipe of the fork server's, and ends with it.
            self._gone = True
            self.end_fd = process.sentinel

    def kill(self) -> None:
        """End it now; harmless when it has ended."""
        if not self._gone:
            super().kill()

    def exit_code(self) -> int | None:
        """How it ended; waits a moment for the fork server to say."""
        self._process.join(_EXIT_CODE_TIME)
        code = self._process.exitcode
        return None if code == _UNKNOWN_EXIT else code

    def close(self) -> None:
        """Let go of it."""
        if self._process.exitcode is not None:
            self._process.close()
        if not self._gone:
            super().close()


def birth(pid: int) -> int | None:
    """When a process was started, in the kernel's ticks since boot; ``None`` when it has ended.

    With its number it names one process, of all that ever ran since (proc(5), stat, field 22).
    """
    fields = stat_fields(pid)
    return None if fields is None or fields[0] == b"Z" else int(fields[19])


def stat_fields(pid: int) -> list[bytes] | None:
    """``/proc/PID/stat`` from its third field on; ``None`` when there is no such process.

    The second is the program's name, which may have anything in it.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None
