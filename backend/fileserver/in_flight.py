"""The requests that have no reply yet: those that run on other threads, those that are parked, and
the flushes that may not be answered yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from backend.fileserver.deferred import run_now
from backend.fileserver.flush import HeldFlushes
from backend.fileserver.offload import Offload
from backend.fileserver.parked import Parked, ParkedRequests
from protocol.ninep.codec import encode
from protocol.ninep.messages import Rflush

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from backend.fileserver.deferred import Deferred
    from backend.fileserver.lane import Lane
    from backend.fileserver.parked import Payload
    from protocol.ninep.ids import Tag
    from protocol.ninep.messages import Message, Tflush


class Finished(NamedTuple):
    """The end of a request whose answer came later: the reply, or what was raised."""

    lane: Lane
    tag: Tag
    outcome: Message | Payload | Exception
    wanted: bool = True
    """False: a new session has begun since, and nobody waits for it."""


class InFlight:
    """What a connection owes its client."""

    def __init__(self, lanes: Sequence[Lane], send: Callable[[Lane, bytes], None]) -> None:
        self._offload = Offload()
        self.running = self._offload.tasks
        """Those that other threads work for."""
        self._parked = ParkedRequests()
        self._announced = ParkedRequests()
        """Those that wait for a descriptor: to ask them after each batch would be for nothing."""
        self._flushes = HeldFlushes(lanes, send)
        self.waiting = False
        """Whether something may wait whose time no descriptor announces: asked for each batch, so
        it is no call.  What ends otherwise than by its time is noticed by ``release_flushes``."""

    def fileno(self) -> int:
        """Polls readable when ``completed`` has something."""
        return self._offload.fileno()

    def accept(self, lane: Lane, tag: Tag, answer: Deferred | Parked) -> Message | None:
        """Take over an answer that comes later; the reply, if it is there at once.

        Raises what the operation raises.
        """
        if isinstance(answer, Parked):
            self.waiting = True
            parked = self._announced if answer.announced else self._parked
            return parked.park(lane, tag, answer)
        if not self._offload.has_room():
            return run_now(answer)
        return self._offload.start(lane, tag, answer)

    def check_flush(self) -> None:
        """Let a flush pass.  Raises ``OSError`` EAGAIN when too many wait."""
        self._flushes.check_room()

    def flush(self, lane: Lane, request: Tflush) -> None:
        """Send Rflush, now or when it may be sent; a parked request gets no other reply.

        Raises ``OSError`` EAGAIN when too many flushes wait, ``RingError``.
        """
        self.waiting = True
        reply = encode(Rflush(request.tag))
        if self._offload.unanswered(request.oldtag):
            self._flushes.after_reply(request.oldtag, lane, reply)
        else:
            self._flushes.after_consumed(lane, reply)
        # Not before: a flush that is refused has ended nothing.
        self._parked.cancel(request.oldtag)
        self._announced.cancel(request.oldtag)

    def completed(self) -> list[Finished]:
        """What has come to its end after other threads did their part."""
        ended = []
        for task, error in self._offload.finished():
            outcome: Message | Exception | None
            try:
                outcome = self._offload.resume(task, error)
            except Exception as raised:  # noqa: BLE001 -- the pump answers and logs it
                outcome = raised
            if outcome is not None:
                ended.append(Finished(task.lane, task.tag, outcome, not task.forgotten))
        return ended

    def unparked(self) -> Iterator[Finished]:
        """What has been waited for long enough."""
        return _finished(self._parked)

    def announced(self) -> Iterator[Finished]:
        """What waited for a descriptor and has been given."""
        return _finished(self._announced)

    def answered(self, tag: Tag) -> None:
        """The reply to what ``completed``, say, gave has been sent."""
        self._flushes.answered(tag)

    def release_flushes(self) -> None:
        """Send the Rflush replies whose time has come.  Raises ``RingError``."""
        self._flushes.release()
        self.waiting = bool(self._parked or self._flushes)

    def forget(self) -> None:
        """A new session has begun: nobody waits for what the old one asked."""
        self._offload.forget()
        self._parked.clear()
        self._announced.clear()
        self._flushes.clear()

    def close(self) -> None:
        """Carry what runs to its end, drop what waits, and give everything back."""
        self._parked.clear()
        self._announced.clear()
        self._offload.close()


def _finished(parked: ParkedRequests) -> Iterator[Finished]:
    for waiting, outcome in parked.finished():
        yield Finished(waiting.lane, waiting.tag, outcome)
