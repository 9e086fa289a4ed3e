"""Requests that wait for something to happen, while all others go on: for a lock, say.

Nothing announces some of what they wait for (another process's unlock): those are asked again after
each batch of requests, and every ``HELD_POLL`` of the loops when there is none.  The others wait
for a descriptor (``readiness``), and are asked when that is ready.  In order of arrival: whoever
came first gets first what several wait for.
"""

from __future__ import annotations

import errno
import math
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backend.fileserver.lane import Lane
    from protocol.ninep.ids import Tag
    from protocol.ninep.messages import Message

MAX_PARKED: Final = 64
"""Requests that wait at once, of each kind.  Each costs some 8 µs per look, so this many take 3 %
of a CPU; whoever comes then is answered as if its time were over."""

_T = TypeVar("_T")


class Payload(NamedTuple):
    """A reply with data beside it: an Rread."""

    message: Message
    data: bytes


@dataclass(frozen=True, slots=True)
class Parked:
    """What a handler returns in place of a reply that has to wait.

    ``attempt`` gives the reply, ``None`` while there is none yet, or raises ``OSError``; it never
    waits itself.  ``release`` must be called exactly once: after the attempt that gave or raised,
    or when no reply is wanted any more.  The session's thread calls both.
    """

    attempt: Callable[[], Message | Payload | None]
    release: Callable[[], None]
    otherwise: Message | OSError
    """The reply when the time is over, or when too many wait already."""
    seconds: float
    announced: bool = False
    """A descriptor tells when to ask again."""


class MustWait(Exception, Generic[_T]):  # noqa: N818 -- no error: the result comes later
    """Raised by a tree or a file of streams in place of a result that is not there yet.

    ``attempt`` and ``release`` are as in ``Parked``, for the result instead of the reply; a
    descriptor of the session's ``Readiness`` tells when to ask again.
    """

    def __init__(self, attempt: Callable[[], _T | None], release: Callable[[], None]) -> None:
        super().__init__()
        self.attempt: Final = attempt
        self.release: Final = release

    def parked(self, answer: Callable[[_T], Message | Payload]) -> Parked:
        """The request, whose reply ``answer`` makes of the result; it waits without end."""

        def attempt() -> Message | Payload | None:
            result = self.attempt()
            return None if result is None else answer(result)

        return Parked(attempt, self.release, too_many(), math.inf, announced=True)


def too_many() -> OSError:
    """What a request hears that would wait without end, where too many do so already."""
    return OSError(errno.EAGAIN, f"{MAX_PARKED} requests wait already")


class Waiting(NamedTuple):
    """A parked request, and who is to hear of its end."""

    lane: Lane
    tag: Tag
    parked: Parked
    deadline: float


class ParkedRequests:
    """The parked requests of one connection."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """``clock`` gives seconds, and never goes back."""
        self._clock = clock
        self._entries: list[Waiting] = []

    def __len__(self) -> int:
        return len(self._entries)

    def park(self, lane: Lane, tag: Tag, parked: Parked) -> Message | None:
        """Keep a request; the reply to give at once where too many wait, or that ``OSError``."""
        if len(self._entries) >= MAX_PARKED:
            parked.release()
            if isinstance(parked.otherwise, OSError):
                raise parked.otherwise
            return parked.otherwise
        self._entries.append(Waiting(lane, tag, parked, self._clock() + parked.seconds))
        return None

    def finished(self) -> Iterator[tuple[Waiting, Message | Payload | Exception]]:
        """Those that need wait no longer, in order of arrival: the reply, or what was raised.

        Each is to be answered before the next is asked.
        """
        now = self._clock()
        for entry in list(self._entries):
            outcome = _outcome(entry.parked, overdue=now >= entry.deadline)
            if outcome is not None:
                self._entries.remove(entry)
                yield entry, outcome

    def cancel(self, tag: Tag) -> None:
        """The client wants no reply on this tag, and gets none."""
        for entry in self._entries:
            if entry.tag == tag:
                entry.parked.release()
        self._entries = [entry for entry in self._entries if entry.tag != tag]

    def clear(self) -> None:
        """Nobody waits any more."""
        for entry in self._entries:
            entry.parked.release()
        self._entries.clear()


def _outcome(parked: Parked, *, overdue: bool) -> Message | Payload | Exception | None:
    outcome: Message | Payload | Exception | None
    try:
        outcome = parked.attempt()
    except Exception as error:  # noqa: BLE001 -- the pump answers and logs it, whatever it is
        outcome = error
    if outcome is None and overdue:
        outcome = parked.otherwise
    if outcome is not None:
        parked.release()
    return outcome
