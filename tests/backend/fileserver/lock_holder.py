"""A program of Dom0 that locks bytes of a file, as another process.

Usage: lock_holder.py posix|ofd FILE.  Each line of standard input is a lock to take or give back,
``KIND START LENGTH`` with a KIND of r, w or u; each answer is ``yes`` or ``no``.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

KINDS = {"r": fcntl.F_RDLCK, "w": fcntl.F_WRLCK, "u": fcntl.F_UNLCK}
COMMANDS = {"posix": fcntl.F_SETLK, "ofd": fcntl.F_OFD_SETLK}


class LockHolder:
    """Such a process; leaving the block ends it."""

    def __init__(self, manner: str, path: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, manner, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, kind: str, start: int = 0, length: int = 0) -> bool:
        """Whether the lock was to be had."""
        stdin, stdout = _pipes(self._process)
        stdin.write(f"{kind} {start} {length}\n")
        stdin.flush()
        return {"yes\n": True, "no\n": False}[stdout.readline()]

    def kill(self) -> None:
        """It dies of SIGKILL."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        for pipe in _pipes(self._process):
            pipe.close()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def main() -> None:
    """Do as each line says."""
    command, fd = COMMANDS[sys.argv[1]], os.open(sys.argv[2], os.O_RDWR)
    for line in sys.stdin:
        kind, start, length = line.split()
        try:
            fcntl.fcntl(
                fd, command, struct.pack("@hhqqi4x", KINDS[kind], 0, int(start), int(length), 0)
            )
        except BlockingIOError:
            print("no", flush=True)
        else:
            print("yes", flush=True)


if __name__ == "__main__":
    main()
