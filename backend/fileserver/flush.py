"""Tflush: when its reply may be sent.

Rflush tells a client that the old tag may be used again, so it must not overtake the old tag's
reply.  On one ring replies stay in order.  On two they do not: a client may see the Rflush on
one ring before the reply that still lies unread on the other (Linux sends Tflush on the ring that
*its* tag chooses).  So an Rflush waits

- for the old request to be answered, where it still runs, and then
- until the peer has consumed, on every other lane, all that was sent there before.

The second rule asks more than needed (any reply counts, not just the old tag's).  That costs
nothing per request, where remembering the position of each tag's reply would.

Source: flush(5) of the Plan 9 manual; ``net/9p/client.c``, ``net/9p/trans_xen.c`` of Linux.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.fileserver.lane import Lane
    from protocol.ninep.ids import Tag

MAX_HELD: Final = 256
"""Flushes that wait at once.  Linux has one per request in flight that a signal hit; a client
that asks for more is told EAGAIN and keeps its old tag in use."""


class _Held(NamedTuple):
    reply: bytes
    lane: Lane
    marks: tuple[tuple[Lane, int], ...]
    """For each other lane, how many bytes must have been consumed there."""


class HeldFlushes:
    """The Rflush replies that may not be sent yet."""

    def __init__(self, lanes: Sequence[Lane], send: Callable[[Lane, bytes], None]) -> None:
        """``send`` publishes a reply on a lane, or keeps it until there is room."""
        self._lanes = lanes
        self._send = send
        self._held: list[_Held] = []
        self._running: dict[Tag, list[tuple[Lane, bytes]]] = {}

    def __len__(self) -> int:
        return len(self._held) + sum(map(len, self._running.values()))

    def __bool__(self) -> bool:
        """Whether any is held: asked once per batch of requests."""
        return bool(self._held or self._running)

    def after_reply(self, oldtag: Tag, lane: Lane, reply: bytes) -> None:
        """Hold ``reply`` until ``answered(oldtag)``.  ``OSError`` EAGAIN when too many wait."""
        self.check_room()
        self._running.setdefault(oldtag, []).append((lane, reply))

    def answered(self, oldtag: Tag) -> None:
        """The running request's reply has been sent: its flushes come next."""
        for lane, reply in self._running.pop(oldtag, ()):
            self._hold(lane, reply)

    def after_consumed(self, lane: Lane, reply: bytes) -> None:
        """Send ``reply``, at once or when the other lanes' replies have been consumed.

        Raises ``OSError`` EAGAIN when too many wait, ``RingError``.
        """
        self.check_room()
        self._hold(lane, reply)

    def release(self) -> None:
        """Send the replies whose time has come.  Raises ``RingError``."""
        still = []
        for held in self._held:
            if all(self._passed(lane, mark) for lane, mark in held.marks):
                self._send(held.lane, held.reply)
                held.lane.notify()
            else:
                still.append(held)
        self._held = still

    def clear(self) -> None:
        """A new session: nobody waits for the old one's flushes."""
        self._held.clear()
        self._running.clear()

    def _hold(self, lane: Lane, reply: bytes) -> None:
        marks = tuple(
            (other, other.sent + sum(map(len, other.waiting)))
            for other in self._lanes
            if other is not lane
        )
        pending = tuple((other, mark) for other, mark in marks if not self._passed(other, mark))
        if pending:
            self._held.append(_Held(reply, lane, pending))
        else:
            self._send(lane, reply)

    @staticmethod
    def _passed(lane: Lane, mark: int) -> bool:
        return lane.sent - lane.unread() >= mark

    def check_room(self) -> None:
        """Let another flush pass.  Raises ``OSError`` EAGAIN when too many wait."""
        if len(self) >= MAX_HELD:
            raise OSError(errno.EAGAIN, f"{MAX_HELD} flushes are waiting already")
