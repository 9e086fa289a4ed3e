"""A lane: one pair of byte rings, and the replies that wait for room on it.

A Xen device has one lane per ring; a plain socket has one.  A request's reply goes to the lane that
the request came on; session, fids and msize belong to all lanes together.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

NOTIFY_BYTES: Final = 64 * 1024
"""Replies published without telling the peer.  One event per batch is cheapest, but a peer that
sleeps through a batch of large replies could have copied the first ones meanwhile."""


class ByteSource(Protocol):
    """Where requests come from; ``protocol.xenpv.ring.ConsumerRing`` has the rules."""

    @property
    def size(self) -> int:
        """The largest number of bytes that can lie ready at once."""

    def available(self) -> int:
        """Bytes that lie ready."""

    def peek(self, length: int, at: int = 0) -> bytes:
        """A private copy."""

    def slices(self, at: int, length: int) -> tuple[memoryview, ...]:
        """Views, for file data only."""

    def advance(self, length: int) -> None:
        """Give the bytes back to the peer."""


class ByteSink(Protocol):
    """Where replies go; ``protocol.xenpv.ring.ProducerRing`` has the rules."""

    @property
    def size(self) -> int:
        """The largest number of bytes that can be free at once."""

    def free(self) -> int:
        """Bytes that may be written."""

    def offer(self, data: bytes) -> bool:
        """Write without publishing, if there is room for all of it."""

    def put(self, at: int, data: bytes) -> None:
        """Write without publishing."""

    def slices(self, at: int, length: int) -> tuple[memoryview, ...]:
        """Views, for file data only."""

    def advance(self, length: int) -> None:
        """Publish."""


class Lane:
    """One way in, one way out, and what is owed on it.

    What becomes of a request is seen at once; ``grouped_lane`` has another kind.
    """

    __slots__ = (
        "_consumed",
        "_notify",
        "_unnotified",
        "replies",
        "requests",
        "sent",
        "serving",
        "stalled",
        "waiting",
    )

    def __init__(self, requests: ByteSource, replies: ByteSink, notify: Callable[[], None]) -> None:
        self.requests = requests
        self.replies = replies
        self._notify = notify
        self.waiting: deque[bytes] = deque()
        """Whole replies for which there was no room.  A reply is never shortened to fit: Linux
        reads the size from its header, and then that many bytes."""
        self.stalled = False
        """The request at the head was left there, because its reply may find no room."""
        self._unnotified = 0
        self._consumed = False
        self.serving = 0
        """Bytes of the request that is being served, until its reply lies in place."""
        self.sent = 0
        """Bytes of all replies ever put here: the clock of ``unread``."""

    def send(self, reply: bytes) -> None:
        """Put a whole reply in place, or keep it until there is room.  Raises ``RingError``."""
        if not self.waiting and self.replies.offer(reply):
            self.answered(reply, len(reply))
        else:
            self.waiting.append(reply)

    def answered(self, head: bytes, length: int) -> None:  # noqa: ARG002 -- it is GroupedLane's
        """A reply of ``length`` bytes, which begins with ``head``, lies in place, whole."""
        self.serving = 0
        self.replies.advance(length)
        self.sent += length
        self._unnotified += length
        if self._unnotified >= NOTIFY_BYTES:
            self.notify()

    def take(self, length: int) -> None:
        """Go on behind a request, whose reply lies in place or comes later."""
        self.serving = 0
        self.requests.advance(length)
        self._consumed = True

    def by_itself(self) -> None:
        """The request that is being served has nothing to do with those before and after it."""

    def go_gently(self) -> None:
        """Each request of the next batch may be the last."""

    def told(self) -> None:
        """Nobody knows what the peer has been told: tell it at the next chance."""
        self._consumed = True

    def drain(self) -> bool:
        """Publish replies that waited, oldest first; true when none is left (or ``RingError``)."""
        while self.waiting:
            if not self.replies.offer(self.waiting[0]):
                return False
            reply = self.waiting.popleft()
            self.answered(reply, len(reply))
        return True

    def unread(self) -> int:
        """Bytes put that the peer has not consumed yet.  Raises ``RingError``."""
        return self.replies.size - self.replies.free()

    def notify(self) -> None:
        """Tell the peer of everything that changed since it was told last."""
        if self._unnotified or self._consumed:
            self._unnotified = 0
            self._consumed = False
            self._notify()

    end_batch = notify
    """No request comes next: let all be seen, and tell the peer."""
