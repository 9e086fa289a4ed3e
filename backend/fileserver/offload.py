"""Runs operations that may take long (fsync) on other threads, so that the rest goes on."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from backend.fileserver.deferred import Deferred
    from backend.fileserver.lane import Lane
    from protocol.ninep.ids import Tag
    from protocol.ninep.messages import Message

THREADS: Final = 2
"""One slow operation must not hold up a second one on another disk; a third may wait."""

SLOTS: Final = 32
"""Deferred operations at once, running or queued; each pins a descriptor."""


class Finished(NamedTuple):
    """A deferred operation's end: the reply, or what it raised."""

    lane: Lane
    tag: Tag
    outcome: Message | Exception


class Offload:
    """A bounded number of operations on a few threads, and a descriptor that tells of their end."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # The lock guards what both the pump's thread and the executor's touch.
        self._lock = threading.Lock()
        self._finished: deque[Finished] = deque()
        self._generation = 0
        self._busy = 0
        self._unanswered: set[Tag] = set()

    def fileno(self) -> int:
        """Polls readable when ``finished`` has something."""
        return self._wake

    def has_room(self) -> bool:
        """Whether another operation may be submitted."""
        with self._lock:
            return self._busy < SLOTS

    def unanswered(self, tag: Tag) -> bool:
        """Whether an operation of this tag was submitted that ``finished`` has not returned."""
        return tag in self._unanswered

    def submit(self, lane: Lane, tag: Tag, deferred: Deferred) -> None:
        """Run ``deferred`` on another thread; ``has_room()`` was true."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="offload")
        with self._lock:
            self._busy += 1
            generation = self._generation
        self._unanswered.add(tag)
        self._executor.submit(self._run, generation, lane, tag, deferred)

    def finished(self) -> list[Finished]:
        """What has ended since the last call, oldest first.  Never waits."""
        with self._lock:
            if not self._finished:
                return []
            os.eventfd_read(self._wake)
            ended = list(self._finished)
            self._finished.clear()
        self._unanswered.difference_update(end.tag for end in ended)
        return ended

    def forget(self) -> None:
        """A new session has begun: what runs comes to its end, but nobody is told."""
        with self._lock:
            self._generation += 1
            if self._finished:
                os.eventfd_read(self._wake)
                self._finished.clear()
        self._unanswered.clear()

    def close(self) -> None:
        """Wait for what runs, then give everything back."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)
        os.close(self._wake)

    def _run(self, generation: int, lane: Lane, tag: Tag, deferred: Deferred) -> None:
        outcome: Message | Exception
        try:
            outcome = deferred.run()
        except Exception as error:  # noqa: BLE001 -- the pump answers and logs it, whatever it is
            outcome = error
        finally:
            deferred.release()
        with self._lock:
            self._busy -= 1
            if generation == self._generation:
                self._finished.append(Finished(lane, tag, outcome))
                os.eventfd_write(self._wake, 1)
