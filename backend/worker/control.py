"""What supervisor and worker tell each other: JSON packets on a ``SOCK_SEQPACKET`` pair.

A worker faces a guest, so the supervisor believes nothing it says without looking: packets are
bounded, parsed as JSON (never unpickled) and checked field by field.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any, Final, NamedTuple

from backend.confinement.walls import WALLS
from backend.worker import passing

MAX_PACKET: Final = 8192
MAX_REASON: Final = 400
"""Characters of a reason; it goes into a XenStore node, which holds 4096 bytes at most."""

FIGURES: Final = (
    "dialect",
    "msize",
    "fids",
    "open_files",
    "requests",
    "errors",
    "malformed",
    "unforeseen",
    "bytes_read",
    "bytes_written",
    "process",
)
"""What a worker reports of itself; ``process`` is its number, which is not its keeper's."""


class ControlError(Exception):
    """The other side sent something that no worker or supervisor of ours would."""


class Stop(NamedTuple):
    """Supervisor: let go and exit."""


class Outlive(NamedTuple):
    """Supervisor: should I end without a ``Stop``, serve on and wait for the next one.

    It is told to a worker that is on record (``supervisor.records``), see ``worker.supervision``.
    """


class HandOver(NamedTuple):
    """Supervisor: the socket that comes with this leads to another process, which waits for all
    that you have (``worker.handover``).
    """


class Query(NamedTuple):
    """Supervisor: report your figures."""

    number: int


class Ready(NamedTuple):
    """Worker: everything is mapped and bound; serving has begun."""

    rings: int
    order: int
    """The largest of the rings' page orders."""
    walls: dict[str, str]
    """The sandbox, as ``confinement.walls`` has it; empty without one."""


class Prepared(NamedTuple):
    """Worker: it is behind its walls, and waits for what an earlier one hands over."""


class Serving(NamedTuple):
    """Worker: what it waited for is its own, and the earlier one serves no more."""


class Kept(NamedTuple):
    """Worker: it does not hand over, and serves on."""

    reason: str


class Failed(NamedTuple):
    """Worker: it cannot serve (any more), and exits."""

    reason: str


class Report(NamedTuple):
    """Worker: the answer to a query."""

    number: int
    figures: dict[str, int | str | None]


FromWorker = Ready | Failed | Report | Prepared | Serving | Kept
FromSupervisor = Stop | Outlive | Query | HandOver

_KINDS: Final[dict[str, type[FromWorker | FromSupervisor]]] = {
    kind.__name__: kind
    for kind in (
        *(Stop, Outlive, Query, HandOver),
        *(Ready, Failed, Report, Prepared, Serving, Kept),
    )
}


def pack(message: FromWorker | FromSupervisor) -> bytes:
    """One packet."""
    fields: dict[str, Any] = message._asdict()
    return json.dumps({"type": type(message).__name__, **fields}).encode()


def unpack(packet: bytes) -> FromWorker | FromSupervisor:
    """The message in a packet.  Raises ``ControlError``, never anything else."""
    try:
        document = json.loads(packet)
    except (ValueError, RecursionError):
        raise ControlError("not JSON") from None
    kind = _KINDS.get(document.pop("type", "")) if _has_type(document) else None
    if kind is None:
        raise ControlError("no message of ours")
    if set(document) != set(kind._fields):
        raise ControlError(f"{kind.__name__} with other fields")
    for name, value in document.items():
        if not _CHECKS[name](value):
            raise ControlError(f"{kind.__name__}.{name} is out of range")
    return kind(**document)


def _has_type(document: object) -> bool:
    return isinstance(document, dict) and isinstance(document.get("type"), str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _is_reason(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_REASON


def _is_walls(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) <= set(WALLS)
        and all(map(_is_reason, value.values()))
    )


def _is_figures(value: object) -> bool:
    """Whether each is of its kind: who prints them counts with the numbers."""
    return isinstance(value, dict) and all(map(_is_figure, value, value.values()))


def _is_figure(name: str, value: object) -> bool:
    if name == "dialect":
        return value is None or _is_reason(value)
    return name in FIGURES and _is_count(value)


_CHECKS: Final = {
    "number": _is_count,
    "rings": _is_count,
    "order": _is_count,
    "walls": _is_walls,
    "reason": _is_reason,
    "figures": _is_figures,
}


class ControlChannel:
    """One end of the socket pair.  Never waits."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def fileno(self) -> int:
        """Polls readable when ``receive`` has something to say."""
        return self._socket.fileno()

    def send(self, message: FromWorker | FromSupervisor) -> bool:
        """Send; false when the other side is gone, or has not read what it was sent before."""
        try:
            self._socket.send(pack(message), socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def send_with(self, message: FromSupervisor, descriptor: int) -> bool:
        """As ``send``, with a copy of a descriptor."""
        try:
            socket.send_fds(self._socket, [pack(message)], [descriptor], socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def receive(self) -> FromWorker | FromSupervisor | None:
        """The next message, or ``None`` when there is none now.

        Raises ``EOFError`` when the other side is gone, ``ControlError`` when it talks nonsense.
        """
        try:
            packet = self._socket.recv(MAX_PACKET + 1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            raise EOFError from None
        return _whole(packet)

    def receive_with(self) -> tuple[FromWorker | FromSupervisor | None, int | None]:
        """As ``receive``, with the descriptor that came along, which is the caller's.

        For a worker: what comes to a supervisor is from somebody who faces a guest.
        """
        try:
            packet, descriptors, _ = passing.receive(
                self._socket, MAX_PACKET + 1, 1, socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return None, None
        except OSError:
            raise EOFError from None
        try:
            return _whole(packet), descriptors[0] if descriptors else None
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise

    def leave(self) -> None:
        """Forget the descriptor without closing it: its number may be another file's by now."""
        self._socket.detach()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _whole(packet: bytes) -> FromWorker | FromSupervisor:
    if not packet:
        raise EOFError
    if len(packet) > MAX_PACKET:
        raise ControlError(f"a packet of more than {MAX_PACKET} bytes")
    return unpack(packet)


def shortened(reason: str) -> str:
    """A reason that fits a packet and a node, and is printable."""
    printable = "".join(char if char.isprintable() else "?" for char in reason)
    if len(printable) <= MAX_REASON:
        return printable
    return printable[: MAX_REASON - 3] + "..."


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends, not yet wrapped: the supervisor's and the worker's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
