"""A client in Dom0 that a channel has accepted."""

from __future__ import annotations

import errno
import select
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.readiness import Readiness


class Client:
    """One connection.  Nothing of it is kept here: what the guest has not read, and the client has
    not, waits in the kernel's socket buffers, and who sends more has to wait.

    The two directions are handed out one by one, as a guest may have each open by itself.
    """

    def __init__(self, connection: socket.socket, readiness: Readiness) -> None:
        self._connection: Final = connection
        self._watched: Final = readiness.watch(connection.fileno())
        self.free = select.EPOLLIN | select.EPOLLOUT
        """The directions that nobody in the guest has open."""
        self.hung_up = False
        """It was noticed that the client sends or takes no more."""
        self._waiting = {select.EPOLLIN: 0, select.EPOLLOUT: 0}

    def fileno(self) -> int:
        """Its descriptor."""
        return self._connection.fileno()

    @property
    def closed(self) -> bool:
        """Whether it was hung up on."""
        return self._connection.fileno() < 0

    def waiting(self, direction: int) -> bool:
        """Whether anybody in the guest waits to read or to write: who comes then waits behind."""
        return self._waiting[direction] > 0

    def wait(self, direction: int) -> None:
        """One more waits until it can read (``EPOLLIN``) or write (``EPOLLOUT``)."""
        self._count(direction, 1)

    def wait_no_more(self, direction: int) -> None:
        """One fewer."""
        self._count(direction, -1)

    def _count(self, direction: int, change: int) -> None:
        self._waiting[direction] += change
        self._watched.want(sum(event for event, count in self._waiting.items() if count))

    def receive(self, buffers: Sequence[memoryview | bytearray]) -> int | None:
        """What the client has sent; ``None`` if nothing now, 0 at its end."""
        if self.closed:
            return 0
        try:
            done = self._connection.recvmsg_into(buffers, 0, socket.MSG_DONTWAIT)[0]
        except BlockingIOError:
            return None
        except ConnectionResetError:
            done = 0  # it left without reading all that it was sent
        if not done:
            self.hung_up = True
        return done

    def send(self, buffers: Sequence[memoryview | bytes]) -> int | None:
        """How much of ``buffers`` the client will be given; ``None`` if nothing fits now.

        Raises ``OSError`` EPIPE when it takes nothing any more.
        """
        try:
            if self.closed:
                raise BrokenPipeError
            return self._connection.sendmsg(buffers, (), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return None
        except (BrokenPipeError, ConnectionResetError):
            self.hung_up = True
            raise OSError(errno.EPIPE, "the channel's client has hung up") from None

    def left_silently(self) -> bool:
        """Whether it hung up before it sent anything, and takes nothing any more."""
        poll = select.poll()
        poll.register(self._connection, 0)
        if not any(events & select.POLLHUP for _fd, events in poll.poll(0)):
            return False
        return not self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Hang up on it."""
        self._watched.close()
        self._connection.close()
