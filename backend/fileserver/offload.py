"""Runs what may take long (fsync) on other threads, so that the rest goes on."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from backend.fileserver.deferred import resume, run_now

if TYPE_CHECKING:
    from backend.fileserver.deferred import Deferred, Step
    from backend.fileserver.lane import Lane
    from protocol.ninep.ids import Tag
    from protocol.ninep.messages import Message

log = logging.getLogger(__name__)

THREADS: Final = 2
"""One slow operation must not hold up a second one on another disk; a third may wait."""

SLOTS: Final = 32
"""Deferred operations at once, running or queued; each pins a descriptor."""


class Task:
    """A deferred operation on its way, and who is to hear of its end."""

    __slots__ = ("_deferred", "forgotten", "lane", "tag")

    def __init__(self, lane: Lane, tag: Tag, deferred: Deferred) -> None:
        self.lane: Final = lane
        self.tag: Final = tag
        self.forgotten = False
        """A new session has begun: the operation comes to its end, but nobody is told."""
        self._deferred = deferred

    def resume(self, error: Exception | None) -> Step:
        """As ``deferred.resume``."""
        return resume(self._deferred, error)

    def finish(self, error: Exception | None) -> None:
        """Go on to the end at once, for nobody to hear."""
        try:
            run_now(self._deferred, error)
        except OSError as failed:
            log.warning("after the client has gone: %s", failed)


class Offload:
    """A bounded number of operations on a few threads, and a descriptor that tells of their steps.

    One thread calls all methods.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._waiting: SimpleQueue[tuple[Task, Step] | None] = SimpleQueue()
        """Steps for the threads; ``None`` ends one."""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.tasks: set[Task] = set()
        # The lock guards what both the pump's thread and the others touch.
        self._lock = threading.Lock()
        self._finished: deque[tuple[Task, Exception | None]] = deque()

    def fileno(self) -> int:
        """Polls readable when ``finished`` has something."""
        return self._wake

    def has_room(self) -> bool:
        """Whether another operation may be started."""
        return len(self.tasks) < SLOTS

    def unanswered(self, tag: Tag) -> bool:
        """Whether an operation of this tag has been started that has not come to its end."""
        return any(task.tag == tag and not task.forgotten for task in self.tasks)

    def start(self, lane: Lane, tag: Tag, deferred: Deferred) -> Message | None:
        """As ``resume``, for a new operation; ``has_room()`` was true."""
        task = Task(lane, tag, deferred)
        self.tasks.add(task)
        return self.resume(task, None)

    def resume(self, task: Task, error: Exception | None) -> Message | None:
        """Go on after a step that ``finished`` told of: the reply, or ``None`` if it waits again.

        Raises what the operation raises.
        """
        try:
            step = task.resume(error)
        except StopIteration as end:
            self.tasks.discard(task)
            reply: Message = end.value
            return reply
        except BaseException:
            self.tasks.discard(task)
            raise
        if len(self._threads) < THREADS:
            self._start_thread()
        if self._threads:
            self._waiting.put((task, step))
        else:
            self._run(task, step)
        return None

    def finished(self) -> list[tuple[Task, Exception | None]]:
        """The steps that have ended since the last call, oldest first, and what they raised."""
        with self._lock:
            if not self._finished:
                return []
            os.eventfd_read(self._wake)
            ended = list(self._finished)
            self._finished.clear()
        return ended

    def forget(self) -> None:
        """A new session has begun: what was started for the old one is not answered any more."""
        for task in self.tasks:
            task.forgotten = True

    def close(self) -> None:
        """Carry what was started to its end, then give everything back."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        for task, error in self.finished():
            task.finish(error)
        os.close(self._wake)

    def _start_thread(self) -> None:
        # A daemon: a worker that ends by an exception must not wait for a thread that does.
        thread = threading.Thread(target=self._work, name="offload", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # Dom0 has no process numbers left, say (pids.max): the others do it, or this one.
            log.warning("waiting for the disk in fewer threads: %s", error)
        else:
            self._threads.append(thread)

    def _work(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            self._run(*waiting)

    def _run(self, task: Task, step: Step) -> None:
        error: Exception | None = None
        try:
            step()
        except Exception as raised:  # noqa: BLE001 -- the operation decides what it means
            error = raised
        with self._lock:
            self._finished.append((task, error))
            os.eventfd_write(self._wake, 1)
