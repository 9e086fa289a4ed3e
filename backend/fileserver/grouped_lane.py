"""A lane on which an outcome is committed before it is seen: of several requests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backend.fileserver.lane import NOTIFY_BYTES, Lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.xenpv.ring import ConsumerRing, ProducerRing

GROUP: Final = 16
"""Requests that are committed together, at most.  A peer that looks at its ring meanwhile has the
first replies to do something with while the others come."""


class GroupedLane(Lane):
    """What becomes of requests is *settled* by groups: committed, and then published."""

    __slots__ = ("_alone", "_group", "_produced", "_requests", "_taken", "commit", "late")

    requests: ConsumerRing
    replies: ProducerRing

    def __init__(
        self, requests: ConsumerRing, replies: ProducerRing, notify: Callable[[], None]
    ) -> None:
        super().__init__(requests, replies, notify)
        self.commit: Callable[[GroupedLane, int, int], None] = lambda _lane, _taken, _produced: None
        """Called before anything of an outcome can be seen in the rings: with the bytes of the
        requests that are over, and of the replies that lie in place.  A journal's."""
        self.late = b""
        """The beginning of the reply that is settled next, if its request was taken before."""
        self._group = GROUP
        self._requests = 0
        self._taken = 0
        self._produced = 0
        self._alone = False

    def answered(self, head: bytes, length: int) -> None:
        self.replies.move(length)
        self._produced += length
        self.sent += length
        if self.serving:
            self.serving = 0
        else:  # it comes late
            self.late = head
            self.settle()

    def take(self, length: int) -> None:
        self.requests.move(length)
        self._taken += length
        self._requests += 1
        self.serving = 0
        if (
            self._alone
            or self._requests >= self._group
            or self._produced >= NOTIFY_BYTES
            or self._taken >= NOTIFY_BYTES
        ):
            self.settle()

    def by_itself(self) -> None:
        if self._requests:
            self.settle()
        self._alone = True

    def go_gently(self) -> None:
        self._group = 1

    def end_batch(self) -> None:
        self.settle()
        self._group = GROUP
        self.notify()

    def settle(self) -> None:
        """Commit what is not yet; give back the room of what was taken, and show the replies."""
        self._alone = False
        taken, produced = self._taken, self._produced
        if not taken and not produced:
            return
        self.commit(self, taken, produced)
        self.late = b""
        if produced:
            self._produced = 0
            self.replies.publish()
            self._unnotified += produced
        if taken:
            self._taken = self._requests = 0
            self.requests.publish()
            self._consumed = True
        if self._unnotified >= NOTIFY_BYTES:
            self.notify()
