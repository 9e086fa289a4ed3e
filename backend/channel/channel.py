"""A channel: open is accept, read receives, write sends, the end of the file is the hang-up.

A client at a time: the next is accepted when the guest has closed what it had open of the last, so
that a client always meets a guest that begins anew (a QMP monitor that greets it).  Those that come
meanwhile wait in the listening socket's queue; one that has gone again without a word is passed by.

The guest may open both directions at once (O_RDWR), or each by itself: a program like ``cat`` has
but one, and Linux lets no two processes read and write one open regular file at the same time.  Two
opens, one for reading and one for writing, get the same client; the client is let go when both are
closed, or one is after the client has hung up.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
from typing import TYPE_CHECKING, Final

from backend.channel.client import Client
from backend.channel.file import LET_GO, ChannelFile
from backend.fileserver.parked import MustWait
from backend.share import Direction

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.fileserver.files import File, OpenNote
    from backend.fileserver.readiness import Readiness

log = logging.getLogger(__name__)

_NEEDED: Final = {
    os.O_RDONLY: select.EPOLLIN,
    os.O_WRONLY: select.EPOLLOUT,
    os.O_RDWR: select.EPOLLIN | select.EPOLLOUT,
}
"""The directions that an access mode needs."""

_ALLOWED: Final = {
    Direction.BOTH: select.EPOLLIN | select.EPOLLOUT,
    Direction.TO_GUEST: select.EPOLLIN,
    Direction.FROM_GUEST: select.EPOLLOUT,
}

_PASSED_BY: Final = 16
"""Clients that have gone already, looked at in one go: others wait meanwhile."""


class Channel:
    """One channel of a session; one thread calls all methods."""

    def __init__(
        self, name: str, listener: socket.socket, direction: Direction, readiness: Readiness
    ) -> None:
        """``listener`` is non-blocking, and closed at the end."""
        self.name: Final = name
        self.direction: Final = direction
        self._listener: Final = listener
        self._readiness: Final = readiness
        self._arrivals: Final = readiness.watch(listener.fileno())
        self._client: Client | None = None
        self._files: set[ChannelFile] = set()
        """What the guest has open, also of clients that were let go."""
        self._waiting = 0
        self._address = listener.getsockname()
        self.changed: set[ChannelFile] | None = None
        """Those that became others, where somebody keeps account of it for the next process."""
        self.accepting: Callable[[], None] = lambda: None
        """Called then before a client is accepted."""

    @property
    def listener(self) -> int:
        """The descriptor of its listening socket."""
        return self._listener.fileno()

    @property
    def has_unopened_client(self) -> bool:
        """Whether a client was accepted of which the guest has nothing open."""
        return self._client is not None and self._client.free == _NEEDED[os.O_RDWR]

    def take_listener(self, fd: int) -> None:
        """Listen by another process's socket, under the number of our own.  Raises ``OSError``."""
        os.dup2(fd, self._listener.fileno(), inheritable=False)
        self._listener.setblocking(False)
        self._address = self._listener.getsockname()

    def open(self, flags: int) -> MustWait[File]:
        """To be raised: the file is there when a client is.  ``flags`` are ``os.O_*``.

        Raises ``OSError`` EACCES for a direction that the channel does not have.
        """
        needed = _NEEDED[flags & os.O_ACCMODE]
        if needed & ~_ALLOWED[self.direction]:
            raise OSError(errno.EACCES, f"channel {self.name} is {self.direction.value} only")
        self._waiting += 1
        self._settle()
        return MustWait(lambda: self._take(needed), self._wait_no_more)

    def closed(self, file: ChannelFile) -> None:
        """The guest has closed what it had open of a client."""
        client = file.client
        self._files.discard(file)
        client.free |= file.directions
        ended = client.free == _NEEDED[os.O_RDWR]
        if client is self._client and (ended or client.hung_up):
            self._client = None
            log.info("channel %s: a client's end", self.name)
            if not ended:
                self._let_go(client)
        if ended:
            client.close()
        self._settle()
        # An open that waits may get what is free now; so may a read of the file that was closed.
        self._readiness.nudge()

    def _let_go(self, client: Client) -> None:
        """Another client may come, although the guest has something open of this one."""
        client.let_go()
        for other in self._files:
            if other.client is client:
                other.changed()

    def close(self) -> None:
        """Listen no more."""
        self._arrivals.close()
        self._listener.close()
        if self._client is not None:
            self._client.close()

    def _take(self, needed: int) -> ChannelFile | None:
        if self._client is None:
            self._client = self._accept()
            self._settle()
        client = self._client
        if client is None or needed & ~client.free:
            return None
        client.free &= ~needed
        return self._opened(ChannelFile(self, client, needed))

    def _opened(self, file: ChannelFile) -> ChannelFile:
        self._files.add(file)
        return file

    def _accept(self) -> Client | None:
        """The next client that is still there.  Raises ``OSError``: EMFILE."""
        for _ in range(_PASSED_BY):
            self.accepting()
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return None
            client = Client(connection, self._readiness, outlives=self.changed is not None)
            if not client.left_silently():
                log.info("channel %s: a client", self.name)
                return client
            client.close()
        return None

    def adopt(self, fd: int, note: OpenNote, answered: int) -> ChannelFile:
        """A file that another process had open of the client ``fd``, of whose bytes so many were
        answered and may not have been taken.  Raises ``OSError``, ``ValueError``.
        """
        client = self._client
        if client is None or client.fileno() != fd:
            if not self.is_client(fd):
                raise OSError(errno.EBADF, f"descriptor {fd} is no client of channel {self.name}")
            client = self._adopted(fd)
            if note.flags & LET_GO:
                client.let_go()
            else:
                self._client = client
        if note.flags & select.EPOLLIN:
            client.answered = answered
        file = ChannelFile.adopted(self, client, note)
        client.free &= ~note.flags
        return self._opened(file)

    def adopt_accepted(self, fd: int) -> bool:
        """Whether ``fd`` is a client that another process has accepted; it is the next then."""
        if self._client is not None or not self.is_client(fd):
            return False
        self._client = self._adopted(fd)
        return True

    def is_client(self, fd: int) -> bool:
        """Whether ``fd``, which is not the listening socket, is one that came by it."""
        try:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=fd)
        except OSError:
            return False
        try:
            return bool(connection.getsockname() == self._address)
        except OSError:
            return False
        finally:
            connection.detach()

    def go_on(self) -> None:
        """Nobody else serves its client any more.  Raises ``OSError``."""
        if self._client is not None:
            self._client.go_on()

    def _adopted(self, fd: int) -> Client:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=fd)
        return Client(connection, self._readiness, outlives=True)

    def _wait_no_more(self) -> None:
        self._waiting -= 1
        self._settle()

    def _settle(self) -> None:
        """Hear of new clients only while one can be served."""
        wanted = self._waiting and self._client is None
        self._arrivals.want(select.EPOLLIN if wanted else 0)
