"""A client's connection to the embedded hypervisor: one handle, one call at a time.

Every wait has a bound.  After a time-out the handle is closed.  A handle is not to be used on both
sides of a ``fork`` at once; a process may go on with that of another which has died.  So calls have
numbers, and an answer to somebody else's call is dropped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from backend.platform.embedded.wire import (
    CALL_TIMEOUT,
    MAX_PACKET,
    SOCKET,
    UNDO,
    Kind,
    PacketError,
    decode,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.xenpv.ids import Domid

_MAX_FDS = 2


class Reply(NamedTuple):
    """The results of a call; the descriptors belong to the caller."""

    fields: dict[str, Any]
    words: tuple[int, ...]
    fds: list[int]

    def close(self) -> None:
        """Close the descriptors."""
        for fd in self.fds:
            os.close(fd)


class Handle:
    """An open handle of one kind, acting for one domain."""

    def __init__(
        self,
        rundir: str,
        kind: Kind,
        domid: Domid,
        timeout: float = CALL_TIMEOUT,
        *,
        connection: int | None = None,
    ) -> None:
        """``connection`` is that of another process's handle, which uses it no more.

        Raises ``OSError``: no hypervisor in ``rundir``, or no such domain (ESRCH).
        """
        self._timeout = timeout
        self._lock = threading.Lock()
        self._name = f"the embedded hypervisor in {rundir}"
        self._sock: socket.socket | None
        if connection is not None:
            self._sock = socket.socket(fileno=connection)
            self._sock.settimeout(timeout)
            return
        self._sock = _connect(rundir, self._name, timeout)
        try:
            self.call("open", kind=kind.value, domid=domid)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Polls with a hang-up when the hypervisor has ended, or our domain was destroyed."""
        return -1 if self._sock is None else self._sock.fileno()

    def call(self, name: str, words: Iterable[int] = (), **fields: object) -> Reply:
        """One hypercall.  Raises the ``OSError`` that the hypervisor answers with.

        ``ConnectionError`` when it is gone or has hung up, ``TimeoutError`` when it does not
        answer, EBADF when this handle is closed, EMFILE when this process has no descriptor left.
        """
        # Not counted: whoever was forked from us counts from the same number.
        serial = int.from_bytes(os.urandom(8))
        request = encode({"call": name, "serial": serial, **fields}, words)
        with self._lock:
            if self._sock is None:
                raise OSError(errno.EBADF, "this handle is closed")
            try:
                reply, whole = self._exchange(self._sock, request)
                while reply.fields.get("serial") != serial:
                    reply.close()
                    reply, whole = self._hear(self._sock)
            except OSError:
                self._drop()
                raise
        number = reply.fields.get("error")
        if isinstance(number, int):
            reply.close()
            raise OSError(number, str(reply.fields.get("text")))
        if not whole:
            reply.close()
            self._undo(name, reply)
            raise OSError(errno.EMFILE, "this process has no file descriptors left")
        return reply

    def _undo(self, name: str, reply: Reply) -> None:
        undo, key = UNDO[name]
        self.call(undo, **{key: reply.fields[key]}).close()

    def _exchange(self, sock: socket.socket, request: bytes) -> tuple[Reply, bool]:
        """The next answer, and whether all its descriptors fitted into this process."""
        try:
            sock.sendall(request)
        except ConnectionError:
            raise self._hung_up() from None
        return self._hear(sock)

    def _hear(self, sock: socket.socket) -> tuple[Reply, bool]:
        try:
            answer, fds, flags, _ = socket.recv_fds(
                sock, MAX_PACKET, _MAX_FDS, socket.MSG_CMSG_CLOEXEC
            )
        except TimeoutError:
            raise TimeoutError(
                errno.ETIMEDOUT, f"{self._name} did not answer within {self._timeout:g} s"
            ) from None
        except ConnectionError:
            answer, fds, flags = b"", [], 0
        if not answer:
            raise self._hung_up()
        try:
            fields, words = decode(answer)
        except PacketError as error:
            for fd in fds:
                os.close(fd)
            raise OSError(errno.EPROTO, f"{self._name} answered rubbish: {error}") from None
        return Reply(fields, words, fds), not flags & socket.MSG_CTRUNC

    def _hung_up(self) -> ConnectionResetError:
        return ConnectionResetError(
            errno.ECONNRESET,
            f"{self._name} has hung up: it has ended, or the domain was destroyed",
        )

    def _drop(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def close(self) -> None:
        """Hang up; the hypervisor takes back all that the handle held."""
        with self._lock:
            self._drop()

    def close_politely(self) -> None:
        """As ``close``, but what the handle held is given back when this returns."""
        with contextlib.suppress(OSError):
            self.call("close").close()
        self.close()


def _connect(rundir: str, name: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(timeout)
    try:
        sock.connect(os.path.join(rundir, SOCKET))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        sock.close()
        raise OSError(
            error.errno,
            f"{name} does not run; start it with: xen-fileproxy embedded run --dir {rundir}",
        ) from None
    except BaseException:
        sock.close()
        raise
    return sock
