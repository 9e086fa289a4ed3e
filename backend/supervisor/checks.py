"""Prepares exports on threads, so that a file system that hangs holds up one device only."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING

from backend.exports import prepare_share

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.share import Share
    from backend.supervisor.reactor import Reactor

Verdict = str | None
"""Why a path cannot be exported, or ``None``."""


class ExportChecks:
    """Runs ``prepare_share`` elsewhere and hands its verdict to the loop."""

    def __init__(self, reactor: Reactor, allowed: tuple[str, ...], timeout: float) -> None:
        self._reactor = reactor
        self._allowed = allowed
        self._timeout = timeout
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._closed = False
        self._done: deque[tuple[Callable[[Verdict], None], Verdict]] = deque()
        reactor.register(self._wake, self._deliver)

    def submit(self, share: Share, tell: Callable[[Verdict], None]) -> None:
        """Check ``share``; ``tell`` is called from the loop, once, within the timeout."""
        answered = False

        def once(verdict: Verdict) -> None:
            nonlocal answered
            if not answered:
                answered = True
                deadline.cancel()
                tell(verdict)

        deadline = self._reactor.after(
            self._timeout,
            lambda: once(f"{share.shown}: no answer from its file system in {self._timeout:g} s"),
        )
        # A daemon thread: one that hangs in the kernel must not keep the supervisor from its exit.
        threading.Thread(target=self._run, args=(share, once), daemon=True).start()

    def close(self) -> None:
        """Tell nobody any more."""
        self._reactor.unregister(self._wake)
        with self._lock:
            self._closed = True
            os.close(self._wake)

    def _run(self, share: Share, tell: Callable[[Verdict], None]) -> None:
        verdict = prepare_share(share, self._allowed)
        with self._lock:
            if not self._closed:
                self._done.append((tell, verdict))
                os.eventfd_write(self._wake, 1)

    def _deliver(self) -> None:
        os.eventfd_read(self._wake)
        with self._lock:
            done, self._done = self._done, deque()
        for tell, verdict in done:
            tell(verdict)
