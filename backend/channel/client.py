"""A client in Dom0 that a channel has accepted."""

from __future__ import annotations

import errno
import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.channel.sending import SendRecord
    from backend.fileserver.readiness import Readiness


_SO_PEEK_OFF: Final = 42  # asm-generic/socket.h


class Client:
    """One connection.  Nothing of it is kept here: what the guest has not read, and the client has
    not, waits in the kernel's socket buffers, and who sends more has to wait.

    The two directions are handed out one by one, as a guest may have each open by itself.
    """

    def __init__(
        self, connection: socket.socket, readiness: Readiness, *, outlives: bool = False
    ) -> None:
        """``outlives``: another process goes on with it if this one dies.  Then what is received
        is looked at first, and taken when whoever asked has the answer.
        """
        self._connection: Final = connection
        self._readiness: Final = readiness
        self._outlives: Final = outlives
        self.peeked = 0
        """Bytes that were looked at, and not taken."""
        self.answered: int | None = None
        """Of those that another process has looked at, how many it answered, and perhaps took."""
        self._closed = False
        self._begun = False
        """Whether it is known that nothing is looked at that was not asked for here."""
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
        """Whether it was hung up on.  As long as anybody has it open, its descriptor stays: that is
        what a journal has of an open file, and another's would have the number.
        """
        return self._closed

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
        """What the client has sent; ``None`` if nothing now, 0 at its end.

        Nothing, too, as long as an answer is on its way: what follows has to come after it.
        """
        if self.closed:
            return 0
        if self.peeked:
            return None
        if self._outlives and not self._begun:
            self._begin()
        flags = socket.MSG_DONTWAIT | (socket.MSG_PEEK if self._outlives else 0)
        try:
            done = self._connection.recvmsg_into(buffers, 0, flags)[0]
        except BlockingIOError:
            return None
        except ConnectionResetError:
            done = 0  # it left without reading all that it was sent
        if not done:
            self.hung_up = True
        if self._outlives:
            self.peeked = done
        return done

    def take(self) -> None:
        """What was looked at has been answered."""
        while self.peeked and not self._closed:
            self.peeked -= len(self._connection.recv(self.peeked, socket.MSG_DONTWAIT))
        if self.waiting(select.EPOLLIN):
            self._readiness.nudge()

    def go_on(self) -> None:
        """Take what another process, which had this client, has answered and not taken.

        The kernel knows how many bytes were looked at and are still there.  So it must not be done
        before that process serves no more.  Raises ``OSError``.
        """
        if self.answered is None:
            return
        left = self._connection.getsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF)
        self.peeked, self.answered = min(max(left, 0), self.answered), None
        self.take()
        self._begin()

    def _begin(self) -> None:
        """Look at what comes first, and have the kernel count what is looked at."""
        self._connection.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)
        self._begun = True

    def send(
        self, buffers: Sequence[memoryview | bytes], record: SendRecord | None = None
    ) -> int | None:
        """How much of ``buffers`` the client will be given; ``None`` if nothing fits now.

        It is written down in ``record``.

        Raises ``OSError`` EPIPE when it takes nothing any more.
        """
        try:
            if self.closed:
                raise BrokenPipeError
            if record is not None:
                return record.send(self._connection.fileno(), buffers)
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

    def let_go(self) -> None:
        """Hang up on it; nobody hears of it any more."""
        self._closed = True
        self._watched.close()
        self._readiness.later(self._hang_up)

    def _hang_up(self) -> None:
        with suppress(OSError):  # it has hung up before
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let it go, and give its descriptor back: nobody has it open."""
        self._closed = True
        self._watched.close()
        self._readiness.later(self._connection.close)
