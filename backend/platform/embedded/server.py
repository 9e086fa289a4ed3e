"""The embedded hypervisor's process: one loop that serves hypercalls and XenStore.

Run directory: ``hypervisor`` (hypercalls, see ``wire``), ``xenstored`` (Dom0's XenStore socket),
``domain/<domid>/xenstored`` (each guest's).  All sockets have mode 0600.  Whatever arrives on them,
the loop goes on: bad packets get an error, an unforeseen exception is answered with EIO, shown on
standard error, counted and listed by ``leaks``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import select
import selectors
import signal
import socket
import struct
import sys
import traceback
from typing import TYPE_CHECKING, Final

from backend.platform.embedded.domains import Client, Hypervisor
from backend.platform.embedded.hypercalls import Answer, call, open_handle
from backend.platform.embedded.libc import require_4k_pages
from backend.platform.embedded.toolstack import StoreToolstack, check_path
from backend.platform.embedded.wire import (
    MAX_PACKET,
    MAX_SERIAL,
    SOCKET,
    Packet,
    PacketError,
    decode,
    encode,
)
from backend.platform.embedded.xenstore_connection import Connection as StoreConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import FileDescriptorLike

_UCRED: Final = struct.Struct("3i")

_SETTLE: Final = ("bind_interdomain", "create_domain", "destroy_domain", "leaks")
"""Calls that somebody who hung up before must not stand in the way of, nor be listed by."""


class Server:
    """The loop, its listening socket and its connections."""

    def __init__(self, rundir: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        # Given up for a moment when descriptors run out, so that a new client can be turned away.
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._path = os.path.join(rundir, SOCKET)
        self._connections: set[Connection] = set()
        self._toolstack = StoreToolstack(rundir, self._selector)
        self.hypervisor: Final = Hypervisor(self._toolstack)
        self._listener = listen(self._path)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def stop_when_readable(self, fd: int) -> None:
        """End the loop when ``fd`` has something to read, or its writer is gone."""
        self._selector.register(fd, selectors.EVENT_READ, self._stop)

    def run(self) -> None:
        """Serve until told to stop."""
        while not self._stopping:
            for key, mask in self._selector.select():
                # A handler may have closed what a later event of this round is about.
                current = self._selector.get_map().get(key.fd)
                if current is not None and current.data == key.data:
                    self._guarded(key.data, mask, key.fileobj)

    def close(self) -> None:
        """End every connection and take the sockets away."""
        self.hypervisor.close()
        for connection in list(self._connections):
            connection.close()
        self._toolstack.close()
        self._selector.close()
        self._listener.close()
        os.close(self._spare)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def settle(self) -> None:
        """Notice now who has hung up, so that what follows sees their things given back."""
        poll = select.poll()
        by_fd = {connection.fileno(): connection for connection in self._connections}
        for fd in by_fd:
            poll.register(fd, select.POLLHUP)
        for fd, _ in poll.poll(0):
            by_fd[fd].close()

    def _guarded(
        self, handler: Callable[[int], None], mask: int, source: FileDescriptorLike
    ) -> None:
        try:
            handler(mask)
        except Exception:  # noqa: BLE001 -- the one place that keeps the process alive
            self.failed()
            # Its events would come again at once and for ever.
            owner = getattr(handler, "__self__", None)
            with contextlib.suppress(Exception):
                if isinstance(owner, Connection | StoreConnection):
                    owner.close()
                else:
                    self._selector.unregister(source)

    def failed(self) -> None:
        """Count and show the exception being handled."""
        self.hypervisor.failures += 1
        traceback.print_exc(file=sys.stderr)

    def _stop(self, _mask: int) -> None:
        self._stopping = True

    def _accept(self, _mask: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            os.close(self._spare)
            with contextlib.suppress(OSError):
                self._listener.accept()[0].close()
            self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            return
        connection = Connection(self, sock)
        self._connections.add(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection.ready)

    def forget(self, connection: Connection, sock: socket.socket) -> None:
        """A connection is closing."""
        self._connections.discard(connection)
        self._selector.unregister(sock)


class Connection:
    """One client's socket; a client from its first request on."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._server = server
        self._sock = sock
        self._client: Client | None = None

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def ready(self, _mask: int) -> None:
        """One packet, or the end."""
        try:
            # No room for ancillary data: descriptors that a client sends are dropped by the kernel.
            packet, _, flags, _ = self._sock.recvmsg(MAX_PACKET)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not packet:
            self.close()
            return
        answer = self._answer(packet, cut=bool(flags & socket.MSG_TRUNC))
        if self._sock.fileno() < 0:
            return
        try:
            socket.send_fds(self._sock, [encode(answer.fields, answer.words)], list(answer.fds))
        except OSError:
            # The client does not read its answers, or is gone: nothing more can be said to it.
            self.close()

    def _answer(self, data: bytes, *, cut: bool) -> Answer:
        if cut:
            text = f"a packet has at most {MAX_PACKET} bytes"
            return Answer({"error": errno.EMSGSIZE, "text": text})
        try:
            packet = decode(data)
        except PacketError as error:
            return Answer({"error": errno.EINVAL, "text": str(error)})
        answer = self._outcome(packet)
        serial = packet.fields.get("serial")
        if type(serial) is not int:
            return answer
        return answer._replace(fields={**answer.fields, "serial": serial & MAX_SERIAL})

    def _outcome(self, packet: Packet) -> Answer:
        try:
            return self._execute(packet)
        except OSError as error:
            text = error.strerror or str(error)
            return Answer({"error": error.errno or errno.EIO, "text": text})
        except Exception:  # noqa: BLE001 -- answered, shown and counted; the server lives
            self._server.failed()
            return Answer({"error": errno.EIO, "text": "the hypervisor met an unexpected error"})

    def _execute(self, packet: Packet) -> Answer:
        hypervisor = self._server.hypervisor
        if packet.fields.get("call") in _SETTLE:
            self._server.settle()
        if self._client is None:
            self._client = open_handle(hypervisor, packet, self._peer_pid(), self.close)
            hypervisor.attach(self._client)
            return Answer()
        return call(hypervisor, self._client, packet)

    def _peer_pid(self) -> int:
        cred = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return int(_UCRED.unpack(cred)[0])

    def close(self) -> None:
        """Hang up and give back all that the client held."""
        if self._sock.fileno() >= 0:
            self._server.forget(self, self._sock)
            self._sock.close()
        client, self._client = self._client, None
        if client is not None:
            self._server.hypervisor.detach(client)


def listen(path: str) -> socket.socket:
    """A listening SOCK_SEQPACKET socket at ``path``, mode 0600.  Raises ``OSError``."""
    check_path(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # Linux gives the file the mode of the socket's inode: no moment with a wider one.
        os.fchmod(sock.fileno(), 0o600)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        sock.bind(path)
        sock.listen(1024)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def serve(rundir: str, ready_fd: int | None, life_fd: int | None = None) -> None:
    """Run the hypervisor in ``rundir`` until SIGINT, SIGTERM, or the end of ``life_fd``.

    ``ready_fd`` gets one byte, and is closed, when everything can be used.  Raises ``OSError``:
    EBUSY when another hypervisor runs there, ENAMETOOLONG when no socket can have such a path.
    """
    require_4k_pages()
    # Two descriptors for each event channel, one for each handle: more than the usual 1,024.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        lock = _lock(rundir)
        stack.callback(os.close, lock)
        server = Server(rundir)
        stack.callback(server.close)
        stack.enter_context(_signals_into(server))
        if life_fd is not None:
            server.stop_when_readable(life_fd)
        if ready_fd is not None:
            os.write(ready_fd, b"\n")
            os.close(ready_fd)
        server.run()


def _lock(rundir: str) -> int:
    os.makedirs(rundir, mode=0o700, exist_ok=True)
    fd = os.open(rundir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise OSError(errno.EBUSY, f"a hypervisor runs in {rundir} already") from None
    return fd


@contextlib.contextmanager
def _signals_into(server: Server) -> Iterator[None]:
    """SIGINT and SIGTERM end the loop; everything before them is finished."""
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    handlers = {
        number: signal.signal(number, lambda _number, _frame: None)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    server.stop_when_readable(receiver.fileno())
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sender.close()
        receiver.close()
