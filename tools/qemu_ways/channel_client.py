"""A client of a channel, in Dom0."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from tools.qemu_ways.qemu import DEADLINE

if TYPE_CHECKING:
    from pathlib import Path


def connected(path: Path) -> socket.socket:
    """A client of a channel, whose socket is there while the guest's driver is.

    Raises ``OSError``.
    """
    deadline = time.monotonic() + DEADLINE
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE)
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            client.close()
            if time.monotonic() > deadline:
                raise
            select.select([], [], [], 0.05)
        except BaseException:
            client.close()
            raise
        else:
            return client
