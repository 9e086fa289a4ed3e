"""When the tree of a quota is counted: before the first change, and where a limit is met.

A census of a million files takes seconds, and may take minutes on a slow disk.  So it runs in a
thread: the device is served at once, and who only reads does not notice.  What would change the
totals waits for the first count, as it would wait for a slow disk: to let it go ahead uncounted
would give it all the space that it can fill meanwhile, at every new start.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from backend.fileserver.census import Census

if TYPE_CHECKING:
    from backend.fileserver.census import Found, OldFile
    from backend.fileserver.ledger import Ledger

log = logging.getLogger(__name__)

INTERVAL: Final = 10.0
"""Seconds from one count to the next, however often a limit is met: a guest that keeps meeting it
cannot keep the disk busy, and what is freed in Dom0 is seen before anybody gets impatient."""

BATCH: Final = 1024
"""Oldest files found by one count and used up by ``auto-delete`` before the next: some 200 KiB."""

_TRIES: Final = 16
"""Counts that come to nothing because Dom0 moves directories about meanwhile."""

_LONG: Final = INTERVAL / 20
"""Seconds; a count that takes longer is followed by a pause that is longer in proportion."""

_PEEK: Final = 0.02
"""Seconds between looks at a count that another worker is busy with."""


class Counting:
    """Counts in a thread of its own, of which there is one at a time."""

    def __init__(self, ledger: Ledger, root_fd: int, *, auto_delete: bool, interval: float) -> None:
        self._ledger = ledger
        self._root_fd = root_fd
        self._keep = BATCH if auto_delete else 0
        self._interval = interval
        self._begun = False
        self._took = 0.0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._oldest: list[OldFile] = []
        self._error: OSError | None = None
        self._ended_at = float("-inf")

    @property
    def pause(self) -> float:
        """Seconds between counts: longer where they take long, so that a guest which stays at its
        limit has Dom0 count for a twentieth of the time at the most.
        """
        return self._interval * max(1.0, self._took / _LONG)

    def begin(self) -> None:
        """The first request is here: count, if nobody has since the last worker was killed."""
        if not self._begun:
            self._begun = True
            if not self._ledger.counted or self._ledger.stale:
                self._start()

    def begin_again(self) -> None:
        """Another process counted before, and was killed.

        What it was just doing may not be in the totals.  That is looked at again where a limit is
        met, and otherwise when the last count is some time ago: whoever has workers killed does not
        have the tree counted as often.
        """
        self._begun = self._ledger.counted and self._ledger.age < self.pause

    def ready(self) -> None:
        """Wait for the first count.

        Raises ``OSError``: what looking into a directory said, EBUSY, EAGAIN (no thread).
        """
        for _ in range(_TRIES):
            if self._ledger.counted:
                return
            self._count()
        raise OSError(errno.EBUSY, "directories are moved about faster than they can be counted")

    def recount(self) -> None:
        """A limit was met: look, in the background, whether Dom0 has made room meanwhile."""
        self._ledger.bury()
        if not self._rests() and (self._ledger.stale or self._ledger.age >= self.pause):
            self._start()

    def oldest(self) -> list[OldFile]:
        """Count, and the oldest files, the oldest first.  Raises ``OSError`` as ``ready``."""
        self._join()
        self._oldest = []
        self._count(again=True)
        return self._oldest

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._join()

    def _rests(self) -> bool:
        """Whether the last count, which may have come to nothing, was here just now."""
        return time.monotonic() < self._ended_at + self.pause

    def _count(self, *, again: bool = False) -> None:
        """Wait for a count; one that runs already will do."""
        if self._error is not None and self._rests():
            raise self._error
        self._start(again=again)
        self._join()
        if self._error is not None:
            raise self._error

    def _start(self, *, again: bool = False) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        self._error = None
        thread = threading.Thread(target=self._run, args=(again,), name="quota count", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # Dom0 has no process numbers left, say (pids.max)
            self._failed(OSError(errno.EAGAIN, str(error)))
            self._ended_at = time.monotonic()
        else:
            self._thread = thread

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _run(self, again: bool) -> None:
        started = time.monotonic()
        try:
            self._ledger.count(self._census, lambda: self._stopping.wait(_PEEK), again=again)
        except OSError as error:
            self._failed(error)
        finally:
            self._ended_at = time.monotonic()
            self._took = self._ended_at - started

    def _failed(self, error: OSError) -> None:
        log.warning("quota: %s", error.strerror or error)
        self._error = error

    def _census(self, held: frozenset[int]) -> Found | None:
        stopped = self._stopping.is_set
        found = Census(self._ledger.key_of, held, self._keep, stopped).run(self._root_fd)
        if found is not None:
            self._oldest = found.oldest
            log.debug("quota: %d files, %d KiB", found.files, found.space // 2)
        return found
