"""Clients for the tests of the XenStore server: no policy, no retry, every byte as given."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
from typing import TYPE_CHECKING, Self

import pytest

from backend.platform.embedded.xenstore_requests import answer
from backend.platform.embedded.xenstore_session import Session
from backend.platform.embedded.xenstore_wire import Decoder, Op, Packet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.platform.embedded.xenstore_state import State

DEADLINE = 10.0


@contextlib.contextmanager
def fails(code: int) -> Iterator[None]:
    """The body must raise an OSError with this errno."""
    with pytest.raises(OSError, match=re.escape(f"[Errno {code}]")):
        yield


class XsClient:
    """Requests and their answers.  ``events`` are (path, token) as they came."""

    def __init__(self) -> None:
        self.events: list[tuple[bytes, bytes]] = []
        self._next = 0

    def exchange(self, packet: Packet) -> Packet:
        raise NotImplementedError

    def request(self, op: int, *parts: bytes, tx: int = 0) -> bytes:
        """The reply's payload; an ERROR is raised as the OSError it names."""
        self._next += 1
        reply = self.exchange(Packet(op, self._next, tx, b"".join(parts)))
        assert (reply.req_id, reply.tx_id) == (self._next, tx)
        if reply.op == Op.ERROR:
            assert reply.payload.endswith(b"\0")
            code = getattr(errno, reply.payload[:-1].decode())
            raise OSError(code, os.strerror(code))
        assert reply.op == op
        return reply.payload

    def read(self, path: bytes, tx: int = 0) -> bytes:
        return self.request(Op.READ, path + b"\0", tx=tx)

    def write(self, path: bytes, value: bytes = b"", tx: int = 0) -> None:
        assert self.request(Op.WRITE, path + b"\0", value, tx=tx) == b"OK\0"

    def mkdir(self, path: bytes, tx: int = 0) -> None:
        assert self.request(Op.MKDIR, path + b"\0", tx=tx) == b"OK\0"

    def rm(self, path: bytes, tx: int = 0) -> None:
        assert self.request(Op.RM, path + b"\0", tx=tx) == b"OK\0"

    def children(self, path: bytes, tx: int = 0) -> list[bytes]:
        return self.request(Op.DIRECTORY, path + b"\0", tx=tx).split(b"\0")[:-1]

    def permissions(self, path: bytes, tx: int = 0) -> bytes:
        return self.request(Op.GET_PERMS, path + b"\0", tx=tx).rstrip(b"\0").replace(b"\0", b",")

    def chmod(self, path: bytes, entries: bytes, tx: int = 0) -> None:
        payload = entries.replace(b",", b"\0") + b"\0"
        assert self.request(Op.SET_PERMS, path + b"\0", payload, tx=tx) == b"OK\0"

    def start(self) -> int:
        return int(self.request(Op.TRANSACTION_START, b"\0").rstrip(b"\0"))

    def end(self, tx: int, how: bytes = b"T") -> None:
        assert self.request(Op.TRANSACTION_END, how + b"\0", tx=tx) == b"OK\0"

    def watch(self, path: bytes, token: bytes) -> None:
        assert self.request(Op.WATCH, path + b"\0" + token + b"\0") == b"OK\0"

    def unwatch(self, path: bytes, token: bytes) -> None:
        assert self.request(Op.UNWATCH, path + b"\0" + token + b"\0") == b"OK\0"

    def take_events(self) -> list[tuple[bytes, bytes]]:
        taken, self.events = self.events, []
        return taken

    def note(self, packet: Packet) -> None:
        assert packet.op == Op.WATCH_EVENT
        assert (packet.req_id, packet.tx_id) == (0, 0)
        path, token, end = packet.payload.split(b"\0")
        assert end == b""
        self.events.append((path, token))


class NoConnections:
    """What a session may ask of the server it runs in, where there is none."""

    def reset(self, domid: int) -> None: ...

    def disconnect(self, domid: int) -> None: ...


class LocalClient(XsClient):
    """A session without a socket."""

    def __init__(self, state: State, domid: int = 0) -> None:
        super().__init__()
        self._replies: list[Packet] = []
        self.session = Session(state, domid, NoConnections(), self._take)

    def exchange(self, packet: Packet) -> Packet:
        answer(self.session, packet)
        (reply,) = self._replies
        self._replies.clear()
        return reply

    def _take(self, packet: Packet) -> None:
        if packet.op == Op.WATCH_EVENT:
            self.note(packet)
        else:
            self._replies.append(packet)


class SocketClient(XsClient):
    """A connection to a server's socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE)
        self._input = Decoder()
        try:
            self.sock.connect(path)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def exchange(self, packet: Packet) -> Packet:
        self.sock.sendall(packet.encode())
        while (reply := self.next_packet()).op == Op.WATCH_EVENT:
            self.note(reply)
        return reply

    def next_packet(self) -> Packet:
        while (packet := self._input.next()) is None:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionResetError
            self._input.feed(data)
        return packet

    def wait_event(self) -> tuple[bytes, bytes]:
        """The next event, queued or still to come."""
        if not self.events:
            self.note(self.next_packet())
        return self.events.pop(0)

    def hung_up(self, seconds: float = DEADLINE) -> bool:
        """Whether the server closes the connection in time; what it sends before is skipped."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        while poll.poll(seconds * 1000):
            try:
                if not self.sock.recv(65536):
                    return True
            except ConnectionResetError:
                return True
        return False
