"""Where QEMU's character devices can be met: sockets of both roles, terminals, pipes, standard I/O.

Each address is an ``Endpoint``.  Those that make a connection for each client of the channel let
QEMU see a new one each time, so that a monitor greets it; the others are one stream for all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import stat
import time
import tty
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar

from frontend_stub.relay import Ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_T = TypeVar("_T")

_Where: TypeAlias = str | tuple[str, int]
"""A socket's path, or host and port."""

FORMS: Final = "unix:PATH, tcp:HOST:PORT, pty, pty:PATH, pipe:PATH or stdio"

_RETRY: Final = 0.1
"""Seconds between looks whether QEMU is there."""

_ABSENT: Final = (FileNotFoundError, ConnectionRefusedError)


class Endpoint(Protocol):
    """QEMU's end, as an address names it."""

    name: str
    """For the log; of a new pseudoterminal, the path to give to QEMU."""

    def connect(self, seconds: float) -> contextlib.AbstractContextManager[Ends]:
        """The descriptors for one client; waits up to ``seconds`` for QEMU to be there.

        Raises ``OSError``.
        """

    def watched(self) -> int | None:
        """A descriptor whose hang-up means that nobody will ever be there again."""

    def close(self) -> None:
        """Give back what is kept between clients."""


def check_address(address: str) -> None:
    """Raises ``ValueError`` for what is no address."""
    kind, _, rest = address.partition(":")
    if kind == "tcp":
        _host_and_port(address)
    elif address not in ("pty", "stdio") and not (kind in ("unix", "pty", "pipe") and rest):
        raise ValueError(f"{address!r}: must be {FORMS}")


def endpoint(address: str, *, listen: bool = False) -> Endpoint:
    """The endpoint at an address that has been checked.

    With ``listen``, QEMU connects to us.  Raises ``OSError``: EINVAL where that cannot be.
    """
    kind, _, rest = address.partition(":")
    if kind in ("unix", "tcp"):
        where = rest if kind == "unix" else _host_and_port(address)
        return _Listening(address, where) if listen else _Connecting(address, where)
    if listen:
        raise OSError(errno.EINVAL, "--listen goes with unix:PATH and tcp:HOST:PORT", address)
    if address == "pty":
        return _NewTerminal()
    if address == "stdio":
        return _Standard()
    opened = _open_terminal if kind == "pty" else _open_pipes
    return _Opened(address, partial(opened, rest))


def _host_and_port(address: str) -> _Where:
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{address}: must be tcp:HOST:PORT, the port a number from 1 to 65535")
    return host.strip("[]"), int(port)


def _family(where: _Where) -> socket.AddressFamily:
    if isinstance(where, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in where[0] else socket.AF_INET


class _Connecting:
    """QEMU listens (``server=on``)."""

    def __init__(self, name: str, where: _Where) -> None:
        self.name = name
        self._where = where

    @contextlib.contextmanager
    def connect(self, seconds: float) -> Iterator[Ends]:
        with _retried(self._try, seconds, self.name) as connection:
            yield _socket_ends(connection)

    def _try(self) -> socket.socket:
        connection = socket.socket(_family(self._where))
        try:
            connection.connect(self._where)
        except BaseException:
            connection.close()
            raise
        return connection

    def watched(self) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is kept."""


class _Listening:
    """QEMU connects (``server=off``, with ``reconnect`` for the client after the first)."""

    def __init__(self, name: str, where: _Where) -> None:
        self.name = name
        self._path = where if isinstance(where, str) else None
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(os.lstat(self._path).st_mode):
                    os.unlink(self._path)
        self._listener = socket.socket(_family(where))
        try:
            if self._path is None:
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(where)
            self._listener.listen(1)
        except OSError as error:
            self._listener.close()
            raise OSError(error.errno, error.strerror, name) from error

    @contextlib.contextmanager
    def connect(self, seconds: float) -> Iterator[Ends]:
        self._listener.settimeout(seconds)
        try:
            connection, _address = self._listener.accept()
        except TimeoutError:
            raise TimeoutError(
                errno.ETIMEDOUT, f"QEMU did not connect within {seconds:g} s", self.name
            ) from None
        with connection:
            yield _socket_ends(connection)

    def watched(self) -> int | None:
        return None

    def close(self) -> None:
        self._listener.close()
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)


class _Opened:
    """What QEMU has made in the file system, opened for each client."""

    def __init__(self, name: str, opened: Callable[[], tuple[int, int]]) -> None:
        self.name = name
        self._open = opened

    @contextlib.contextmanager
    def connect(self, seconds: float) -> Iterator[Ends]:
        reader, writer = _retried(self._open, seconds, self.name)
        try:
            yield Ends(reader, writer)
        finally:
            for descriptor in {reader, writer}:
                os.close(descriptor)

    def watched(self) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is kept."""


class _NewTerminal:
    """A pseudoterminal of ours, for QEMU's ``-chardev serial,path=...``."""

    def __init__(self) -> None:
        # The slave is kept open: a master without one reads as hung up.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.name = os.ttyname(self._slave)

    @contextlib.contextmanager
    def connect(self, seconds: float) -> Iterator[Ends]:
        del seconds  # whether QEMU has the terminal open cannot be seen
        yield Ends(self._master, self._master)

    def watched(self) -> int | None:
        return None

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class _Standard:
    """Our standard input and output: one stream, whose end is our own."""

    name = "stdio"

    @contextlib.contextmanager
    def connect(self, seconds: float) -> Iterator[Ends]:
        del seconds
        # Others may have the same open file, so it stays as it is: blocking, perhaps.
        yield Ends(0, 1, most=select.PIPE_BUF)

    def watched(self) -> int | None:
        return 0

    def close(self) -> None:
        """Not ours to close."""


def _socket_ends(connection: socket.socket) -> Ends:
    connection.setblocking(False)
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    number = connection.fileno()

    def end_writing() -> None:
        with contextlib.suppress(OSError):  # it has hung up meanwhile
            connection.shutdown(socket.SHUT_WR)

    return Ends(number, number, end_writing=end_writing)


def _open_terminal(path: str) -> tuple[int, int]:
    """The terminal that QEMU's ``-chardev pty`` has made."""
    terminal = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        tty.setraw(terminal)
    except BaseException:
        os.close(terminal)
        raise
    return terminal, terminal


def _open_pipes(path: str) -> tuple[int, int]:
    """The two FIFOs of QEMU's ``-chardev pipe,path=...``: it reads ``.in`` and writes ``.out``."""
    flags = os.O_NONBLOCK | os.O_CLOEXEC
    reader = os.open(f"{path}.out", os.O_RDONLY | flags)
    try:
        return reader, os.open(f"{path}.in", os.O_WRONLY | flags)
    except BaseException:
        os.close(reader)
        raise


def _retried(attempt: Callable[[], _T], seconds: float, name: str) -> _T:
    """What ``attempt`` gives, as soon as there is somebody.  Raises ``OSError`` after that time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except OSError as error:
            absent = isinstance(error, _ABSENT) or error.errno == errno.ENXIO
            if not absent or time.monotonic() >= deadline:
                raise OSError(error.errno, error.strerror or str(error), name) from error
        time.sleep(_RETRY)
