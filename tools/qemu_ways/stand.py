"""Where a way of QEMU's is tried, and the QEMUs that are started there.

The first has a pattern in its memory and another time than the second starts with.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tools.qemu_ways.qemu import Qemu

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.qemu_ways.ends import End

CHANNEL: Final = "qmp"
"""The channel, for both directions, that a share must have beside the ways' files."""

_PATTERN: Final = 1 << 20
_PATTERN_AT: Final = 2 << 20
_ANOTHER_TIME: Final = ("-rtc", "base=2010-11-12,clock=vm")


@dataclass(frozen=True)
class Stand:
    """Where a way is tried: which QEMU, at which end of a guest, and a folder for the rest."""

    command: Sequence[str]
    version: tuple[int, int]
    end: End
    full: End
    """Of a second share, in which nothing more has room."""
    scratch: Path

    def start(self, name: str, *arguments: str, descriptors: Sequence[int] = ()) -> Qemu:
        """A QEMU of that name.  Raises ``MonitorError``."""
        log = self.scratch / f"{name}.log"
        return Qemu(self.command, log, *arguments, descriptors=descriptors)

    def first(self, size: int = _PATTERN) -> Qemu:
        """One with ``size`` bytes in its memory that nobody has seen before."""
        pattern = self.scratch / "pattern"
        pattern.write_bytes(os.urandom(size))
        return self.start(
            "first", "-device", f"loader,file={pattern},addr={_PATTERN_AT},force-raw=on"
        )

    def second(self, *arguments: str, descriptors: Sequence[int] = ()) -> Qemu:
        """One that waits for a state."""
        return self.start("second", *_ANOTHER_TIME, *arguments, descriptors=descriptors)

    def address(self, kind: str) -> str:
        """One of a socket that nobody has."""
        if kind == "unix":
            path = self.scratch / "socket"
            path.unlink(missing_ok=True)
            return f"unix:{path}"
        return f"tcp:127.0.0.1:{free_port()}"


def free_port() -> int:
    """A TCP port of this machine that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
