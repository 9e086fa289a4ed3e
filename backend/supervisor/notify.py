"""Tells systemd that the supervisor serves: as much of sd_notify(3) as is needed."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

_SOCKET: Final = "NOTIFY_SOCKET"


def ready() -> None:
    """Say so where somebody waits for it.  That nobody hears it is no reason not to serve."""
    address = os.environ.pop(_SOCKET, "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket, as systemd writes it
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
    ):
        out.sendto(b"READY=1", address)
