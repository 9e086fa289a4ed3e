"""A client of QEMU's monitor protocol, as much of it as a command line needs.

Source: QEMU ``docs/interop/qmp-spec.rst``: the server greets, the client leaves the negotiation
with ``qmp_capabilities``, then each command has one answer, and events come at any time.

A monitor in a stub domain is a guest's: what it says is bounded, checked, and never trusted to be
quick.
"""

from __future__ import annotations

import itertools
import json
import socket
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

MAX_MESSAGE: Final = 16 << 20
"""Bytes of one message; ``query-qmp-schema``, the largest answer there is, has 0.3 MB."""

_RECEIVED: Final = 64 * 1024
_MOMENT: Final = 0.01
"""Seconds to look for what may have come."""

_KINDS: Final = ("QMP", "return", "error", "event")


class MonitorError(Exception):
    """There is no monitor, it does not answer, or it talks nonsense; the text says which."""


class Refused(Exception):  # noqa: N818 -- QEMU's answer to a command, not our failure
    """QEMU answered a command with an error: its class and description."""


class Monitor:
    """A connection that is past the negotiation.  Use as a context manager."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        """``seconds`` is how long to wait for the greeting, and for each answer."""
        self._socket: Final = connection
        self._seconds: Final = seconds
        self._buffer = bytearray()
        self._searched = 0
        self._numbers: Final = itertools.count(1)
        self.on_event: Callable[[dict[str, Any]], None] = lambda _event: None
        """Called with each event."""

    @classmethod
    def connect(cls, path: str, seconds: float) -> Self:
        """Connect to a unix socket and negotiate.  Raises ``MonitorError``, ``OSError``."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(seconds)
            try:
                connection.connect(path)
            except (TimeoutError, BlockingIOError):
                raise MonitorError("more clients are waiting than may") from None
            monitor = cls(connection, seconds)
            monitor.negotiate()
        except BaseException:
            connection.close()
            raise
        return monitor

    def fileno(self) -> int:
        """Polls readable when ``hear`` has something."""
        return self._socket.fileno()

    def negotiate(self) -> None:
        """Hear the greeting and answer it.  Raises ``MonitorError``."""
        deadline = time.monotonic() + self._seconds
        try:
            greeting = self._message(deadline)
        except TimeoutError:
            raise MonitorError(
                f"no greeting within {self._seconds:g} s: another client has the monitor, or "
                "nobody in the guest relays the channel to it"
            ) from None
        if "QMP" not in greeting:
            raise MonitorError("what answers is no QMP monitor")
        self.execute("qmp_capabilities")

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 -- JSON
        """What the command returns.  Raises ``Refused``, ``MonitorError``."""
        number = next(self._numbers)
        request: dict[str, Any] = {"execute": command, "id": number}
        if arguments:
            request["arguments"] = arguments
        deadline = time.monotonic() + self._seconds
        try:
            self._socket.settimeout(self._seconds)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while (answer := self._message(deadline)).get("id") != number:
                pass  # of a command whose answer came too late
        except TimeoutError:
            raise MonitorError(f"{command}: no answer within {self._seconds:g} s") from None
        except OSError as error:
            raise MonitorError(f"the monitor has hung up ({error.strerror})") from None
        if "error" in answer:
            raise Refused(_described(answer["error"]))
        if "return" not in answer:
            raise MonitorError(f"{command}: an answer that is none")
        return answer["return"]

    def hear(self) -> None:
        """Take what has come without being asked for: events.  Raises ``MonitorError``."""
        deadline = time.monotonic() + _MOMENT
        try:
            while True:
                self._message(deadline)
        except TimeoutError:
            return  # not whole yet, or that was all

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def __enter__(self) -> Self:
        """The monitor itself."""
        return self

    def __exit__(self, *_raised: object) -> None:
        """Hang up."""
        self.close()

    def _message(self, deadline: float) -> dict[str, Any]:
        """The next message; events are passed on by the way.

        Raises ``TimeoutError`` when none is whole by the deadline, ``MonitorError``.
        """
        while True:
            line = self._line(deadline)
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                raise MonitorError("the monitor sent what is not JSON") from None
            if not isinstance(message, dict) or not any(kind in message for kind in _KINDS):
                raise MonitorError("the monitor sent what is no QMP message")
            if "event" not in message:
                return message
            self.on_event(message)

    def _line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > MAX_MESSAGE:
                raise MonitorError(f"the monitor sent a message of more than {MAX_MESSAGE} bytes")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            try:
                received = self._socket.recv(_RECEIVED)
            except ConnectionResetError:
                received = b""
            if not received:
                raise MonitorError("the monitor has hung up")
            self._buffer += received
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line


def _described(error: object) -> str:
    """QEMU's error in a line; what is not printable comes as in JSON."""
    if isinstance(error, dict) and isinstance(error.get("desc"), str):
        return f"{error.get('class', 'error')}: {json.dumps(error['desc'])[1:-1]}"
    return json.dumps(error)
