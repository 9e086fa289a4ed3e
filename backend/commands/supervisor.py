"""How a command speaks with the running supervisor."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, Final

from backend.commands.failure import CommandError

if TYPE_CHECKING:
    import argparse

_ANSWER_TIME: Final = 10.0
"""Seconds; the supervisor itself gives its workers one."""


def add_socket(parser: argparse.ArgumentParser) -> None:
    """Declare ``--socket``."""
    parser.add_argument("--socket", metavar="PATH", help="the supervisor's status socket")


def ask(path: str) -> dict[str, Any]:
    """The supervisor's status document.  Raises ``CommandError``."""
    try:
        document: dict[str, Any] = json.loads(converse(path, b"status\n", _ANSWER_TIME))
    except ValueError:
        raise CommandError(f"{path}: the answer is not a supervisor's") from None
    return document


def converse(path: str, request: bytes, patience: float | None) -> bytes:
    """Send a request; all that comes until the supervisor hangs up.

    ``patience`` bounds the wait for each part, in seconds.  Raises ``CommandError``.
    """
    parts = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(patience)
            connection.connect(path)
            connection.sendall(request)
            while part := connection.recv(1 << 16):
                parts.append(part)
    except (FileNotFoundError, ConnectionRefusedError):
        raise CommandError(
            f"{path}: no supervisor runs there; start one with 'xen-fileproxy run', "
            "or name its socket with --socket or --run-dir"
        ) from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or 'no answer'}") from error
    return b"".join(parts)
