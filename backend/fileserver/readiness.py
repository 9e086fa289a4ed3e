"""Descriptors that parked requests wait for, behind one descriptor that tells of them all."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class Readiness:
    """An epoll instance that is polled itself, so that a loop has one descriptor more, not many.

    Only what a request waits for is watched: nothing that is merely ready keeps a loop awake.
    """

    def __init__(self) -> None:
        self._poll: Final = select.epoll()
        self._nudge: Final = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._nudge, select.EPOLLIN)
        self.later: Callable[[Callable[[], None]], None] = _at_once
        """What ends a descriptor; a journal keeps it for a while."""

    def begin_again(self) -> None:
        """Watch nothing: what is watched was another process's wish, which shared the descriptor.

        Raises ``OSError``.
        """
        with select.epoll() as poll:
            os.dup2(poll.fileno(), self._poll.fileno(), inheritable=False)
        self._poll.register(self._nudge, select.EPOLLIN)

    def fileno(self) -> int:
        """Polls readable when a parked request should be asked again."""
        return self._poll.fileno()

    def watch(self, fd: int) -> Watched:
        """A descriptor for which nothing waits yet; end with its ``close``, before ``fd`` is."""
        return Watched(self._poll, fd)

    def nudge(self) -> None:
        """Have the parked requests asked again although no descriptor has changed."""
        os.eventfd_write(self._nudge, 1)

    def settle(self) -> None:
        """The parked requests are about to be asked: what ``nudge`` said is heard."""
        try:
            os.eventfd_read(self._nudge)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the descriptors back."""
        self._poll.close()
        os.close(self._nudge)


def _at_once(call: Callable[[], None]) -> None:
    call()


class Watched:
    """One descriptor, and the events that somebody waits for."""

    __slots__ = ("_events", "_fd", "_poll")

    def __init__(self, poll: select.epoll, fd: int) -> None:
        self._poll = poll
        self._fd = fd
        self._events = 0

    def want(self, events: int) -> None:
        """Tell of these events (``select.EPOLL*``) from now on; of none for 0, not of a hang-up."""
        if events == self._events or self._fd < 0:
            return
        if not events:
            self._poll.unregister(self._fd)
        elif self._events:
            self._poll.modify(self._fd, events)
        else:
            self._poll.register(self._fd, events)
        self._events = events

    def close(self) -> None:
        """Tell of nothing any more: the number may soon be another file's."""
        self.want(0)
        self._fd = -1
