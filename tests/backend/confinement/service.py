"""A guest's conversation with a confined process, across a handler that fails as nobody foresaw."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, NoReturn

from backend.fileserver.limits import Limits
from backend.fileserver.policies.forwarding import ForwardingTree
from backend.fileserver.session import Session
from backend.fileserver.stream import RING_BYTES
from backend.trace import TraceWriter
from backend.worker.stream_service import StreamService
from protocol.ninep.codec import HEADER_SIZE, decode, encode
from protocol.ninep.ids import NOFID, NOTAG, Fid, Tag
from protocol.ninep.messages import (
    Message,
    Tattach,
    Tclunk,
    Tfsync,
    Tgetattr,
    Tlcreate,
    Tstatfs,
    Tversion,
)
from protocol.xenpv.ids import Devid, Domid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.fileserver.files import Node, Space
    from backend.fileserver.tree import Tree

TAG = Tag(7)
FID = Fid(1)


class Faulty(ForwardingTree):
    """A tree with a bug."""

    def statfs(self, node: Node) -> Space:
        return _divide(node.fd * 0)


def _divide(by: int) -> NoReturn:
    raise ZeroDivisionError(f"by {1 // by}")


class Service:
    """Made before the walls go up, as a worker makes its own; runs behind them."""

    def __init__(self, tree: Tree, trace: str | None) -> None:
        self._client, server = socket.socketpair()
        session = Session(Faulty(tree), Limits(), 65536)
        writer = TraceWriter.open(trace, Domid(1), Devid(0)) if trace else None
        self._service = StreamService(server, session, RING_BYTES, writer)
        self._life = os.pipe()

    def run(self) -> list[str]:
        """The replies, by name."""
        replies: list[str] = []
        # Threads start behind the walls, as those for fsync do.
        guest = threading.Thread(target=lambda: replies.extend(self._talk()))
        guest.start()
        ended = self._service.run(self._life[0])
        guest.join()
        return [*replies, ended]

    def _talk(self) -> Iterator[str]:
        requests: list[Message] = [
            Tversion(NOTAG, 65536, b"9P2000.L"),
            Tattach(TAG, FID, NOFID, b"", b"", 0),
            Tstatfs(TAG, FID),
            Tgetattr(TAG, FID, 0x7FF),
            Tlcreate(TAG, FID, b"synced", os.O_RDWR, 0o600, os.getgid()),
            Tfsync(TAG, FID, 0),
            Tclunk(TAG, FID),
        ]
        for request in requests:
            self._client.sendall(encode(request))
            yield self._reply()
        self._client.close()

    def _reply(self) -> str:
        reply = self._client.recv(1 << 16)
        while len(reply) < HEADER_SIZE or len(reply) < int.from_bytes(reply[:4], "little"):
            reply += self._client.recv(1 << 16)
        message = decode(reply, len(reply))
        code = getattr(message, "ecode", None)
        return type(message).__name__ if code is None else os.strerror(code)
