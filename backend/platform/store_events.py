"""Watch events that wait for the program, bounded whatever a guest does to its nodes.

Equal events that still wait are one event.  A guest that keeps making new names could still fill
the queue, so above ``MAX_WAITING`` events for one token they become one event per path watched with
that token: "something changed there", the same as a watch's first event.  So at most
``MAX_WAITING`` events per token wait, plus one per watch.
"""

from __future__ import annotations

import os
import threading

Event = tuple[str, str]

MAX_WAITING = 1024


class EventQueue:
    """Filled by the store's thread, emptied by the program's."""

    def __init__(self) -> None:
        """Empty, nothing watched."""
        self._lock = threading.Lock()
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._waiting: dict[Event, None] = {}
        self._count: dict[str, int] = {}
        self._overflowed: set[str] = set()

    def fileno(self) -> int:
        """A descriptor that polls readable while events wait; -1 once closed."""
        return self._fd

    def put(self, path: str, token: str, watched: list[str]) -> None:
        """Queue an event; ``watched`` are all paths watched with this token."""
        with self._lock:
            if self._fd < 0 or (path, token) in self._waiting:
                return
            if token in self._overflowed:
                return
            if self._count.get(token, 0) >= MAX_WAITING:
                self._collapse(token, watched)
            else:
                self._count[token] = self._count.get(token, 0) + 1
                self._waiting[path, token] = None
            os.eventfd_write(self._fd, 1)

    def take(self) -> list[Event]:
        """All waiting events, oldest first."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
            self._count.clear()
            self._overflowed.clear()
            if taken and self._fd >= 0:
                os.eventfd_read(self._fd)
            return taken

    def close(self) -> None:
        """Give the descriptor back; events that wait are dropped."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            self._waiting.clear()

    def _collapse(self, token: str, watched: list[str]) -> None:
        self._overflowed.add(token)
        self._waiting = {event: None for event in self._waiting if event[1] != token}
        self._waiting.update(dict.fromkeys((path, token) for path in watched))
