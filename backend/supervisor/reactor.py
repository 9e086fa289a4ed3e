"""The supervisor's event loop: descriptors, deadlines and signals in one thread."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

log = logging.getLogger(__name__)

_MAX_MISTAKES: Final = 100
"""So many, and it is the loop itself that goes round in a mistake: better to end than to spin."""


class Deadline:
    """Something to be done at a time, unless cancelled before."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget it; harmless when it is over."""
        self.callback = None


class Reactor:
    """Calls handlers when descriptors are ready and when deadlines come."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._deadlines: list[tuple[float, int, Deadline]] = []
        self._order = itertools.count()  # equal times run in the order they were set
        self._running = False
        self._mistakes = 0
        self._signals: contextlib.ExitStack | None = None

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def register(self, fd: int, handler: Callable[[], None], *, write: bool = False) -> None:
        """Call ``handler`` whenever ``fd`` is readable (or, instead, writable)."""
        events = selectors.EVENT_WRITE if write else selectors.EVENT_READ
        self._selector.register(fd, events, handler)

    def unregister(self, fd: int) -> None:
        """Stop watching ``fd``; harmless when it is not watched."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> Deadline:
        """Call ``callback`` once, ``seconds`` from now."""
        deadline = Deadline(callback)
        heapq.heappush(self._deadlines, (self.now() + seconds, next(self._order), deadline))
        return deadline

    def on_signals(self, handlers: Mapping[signal.Signals, Callable[[], None]]) -> None:
        """Call a signal's handler from the loop, not from the signal."""
        stack = self._signals = contextlib.ExitStack()
        reader, writer = socket.socketpair()
        stack.callback(reader.close)
        stack.callback(writer.close)
        reader.setblocking(False)
        writer.setblocking(False)

        def drain() -> None:
            with contextlib.suppress(BlockingIOError):
                for number in dict.fromkeys(reader.recv(64)):
                    if number in handlers:
                        handlers[signal.Signals(number)]()

        def only_wake(_number: int, _frame: FrameType | None) -> None:
            pass  # the wake-up descriptor carries the number

        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writer.fileno()))
        for number in handlers:
            stack.callback(signal.signal, number, signal.signal(number, only_wake))
        self.register(reader.fileno(), drain)
        stack.callback(self.unregister, reader.fileno())

    def run(self) -> None:
        """Serve until ``stop`` is called."""
        self._running = True
        while self._running:
            for key, _events in self._selector.select(self._timeout()):
                # A handler before this one may have unregistered it, or reused its number.
                if self._selector.get_map().get(key.fd) is key:
                    self._call(key.data)
            self._run_deadlines()

    def stop(self) -> None:
        """Let ``run`` return after the present round."""
        self._running = False

    def close(self) -> None:
        """Give back signals and the selector; registered descriptors stay their owners'."""
        if self._signals:
            self._signals.close()
        self._selector.close()

    def _timeout(self) -> float | None:
        while self._deadlines and self._deadlines[0][2].callback is None:
            heapq.heappop(self._deadlines)
        return max(0.0, self._deadlines[0][0] - self.now()) if self._deadlines else None

    def _run_deadlines(self) -> None:
        now = self.now()  # what callbacks add for "now" waits for the next round
        while self._deadlines and self._deadlines[0][0] <= now:
            callback = heapq.heappop(self._deadlines)[2].callback
            if callback is not None:
                self._call(callback)

    def _call(self, handler: Callable[[], None]) -> None:
        """A mistake in one handler must not end what all the others do."""
        try:
            handler()
        except Exception:
            log.exception("unforeseen")
            self._mistakes += 1
            if self._mistakes >= _MAX_MISTAKES:
                raise
