"""A daemon that misbehaves in a way the test writes down: one function for each connection."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self

from backend.platform.embedded.xenstore_wire import Decoder, Op, Packet

if TYPE_CHECKING:
    from collections.abc import Callable


class Peer:
    """The daemon's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._input = Decoder()

    def next(self) -> Packet:
        """The client's next request; ``EOFError`` when it hangs up."""
        while (packet := self._input.next()) is None:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._input.feed(data)
        return packet

    def reply(self, request: Packet, payload: bytes, op: int | None = None) -> None:
        op = request.op if op is None else op
        self.send(Packet(op, request.req_id, request.tx_id, payload))

    def send(self, packet: Packet) -> None:
        self.sock.sendall(packet.encode())

    def wait_for_the_end(self) -> None:
        """Read and say nothing until the client hangs up."""
        while self.sock.recv(65536):
            pass

    def serve(self) -> None:
        """Answer as a plain, empty store would."""
        while True:
            request = self.next()
            if request.op == Op.READ:
                self.reply(request, b"value")
            elif request.op == Op.TRANSACTION_START:
                self.reply(request, b"1\0")
            else:
                self.reply(request, b"OK\0")


class ScriptedDaemon:
    """Runs ``script`` for each connection; ``accepted`` counts them."""

    def __init__(self, path: str, script: Callable[[Peer], None], backlog: int = 8) -> None:
        self.accepted = threading.Semaphore(0)
        self._script = script
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(backlog)
        self._peers: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for sock in self._peers:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(sock)
            thread = threading.Thread(target=self._run, args=(sock,))
            self._threads.append(thread)
            thread.start()
            self.accepted.release()

    def _run(self, sock: socket.socket) -> None:
        with sock:
            try:
                self._script(Peer(sock))
            except (EOFError, OSError):
                return
