"""The other end of a socket, played by the test: it answers what the test says, also nonsense."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self, TypeVar

from protocol.ninep.codec import decode_frame, encode
from protocol.ninep.messages import Message, Rversion, Tversion

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import TracebackType

TIMEOUT = 20.0


class Peer:
    """Reads whole requests and sends what it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(TIMEOUT)
        self.socket = connection

    def receive(self) -> Message:
        """The next request, its payload included."""
        return decode_frame(self.receive_frame())

    def receive_frame(self) -> bytes:
        """The next request as it came."""
        head = self._exactly(4)
        return head + self._exactly(int.from_bytes(head, "little") - 4)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError("the client closed the connection")
            data += part
        return bytes(data)

    def send(self, message: Message, payload: bytes = b"") -> None:
        """A reply."""
        self.socket.sendall(encode(message, len(payload)) + payload)

    def greet(self, msize: int | None = None) -> int:
        """Answer Tversion; the msize agreed on."""
        request = self.receive()
        assert isinstance(request, Tversion)
        agreed = request.msize if msize is None else msize
        self.send(Rversion(request.tag, agreed, request.version))
        return agreed


T = TypeVar("T")


class Script:
    """Runs ``play(peer)`` beside the test; leaving the block waits for it and shows its failure."""

    def __init__(self, peer: T, play: Callable[[T], object]) -> None:
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(peer, play))

    def _run(self, peer: T, play: Callable[[T], object]) -> None:
        try:
            play(peer)
        except BaseException as error:  # noqa: BLE001 -- shown in the test's own thread
            self._failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive(), "the script has not come to its end"
        if self._failure is not None and value is None:
            raise self._failure
