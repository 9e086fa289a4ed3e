"""A program of Dom0 at a channel's socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE: Final = 30.0
"""Seconds after which what was expected does not come any more."""


def dom0(path: Path) -> socket.socket:
    """Connected, with a bound on each wait."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE)
    client.connect(str(path))
    return client
