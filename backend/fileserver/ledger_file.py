"""The file behind a ledger: locks that the kernel drops with their owner, and shared words.

All processes that serve one root map it.  Nothing in it outlives them: whoever opens it and finds
that nobody else is there begins anew, so a ledger of an earlier boot or version means nothing.

The locks are open-file-description locks on single bytes (fcntl(2)), so that they belong to this
descriptor: a second one of the same process, in a test, is somebody else.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from contextlib import contextmanager
from struct import Struct
from typing import TYPE_CHECKING, Final

from backend.fileserver.inode_table import WORDS, InodeTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_WORKERS: Final = 62
"""Processes on one root: they are bits of one word, which has two others."""

# Signed 64-bit words of the first page.  MAGIC comes last when a ledger is begun.
MAGIC: Final = 0
SEED: Final = 1
TABLE: Final = 2
"""Which table is in force: its number of entries, a power of two, plus 0 or 1.  Of each size there
are two, and no two overlap: a new one is filled beside the old one, then this word says so."""
ENTRIES: Final = 3
WORKERS: Final = 4
"""Bits of those who joined and did not leave; some may have been killed."""
BUSY: Final = 5
"""Not 0 while somebody changes words: found so under the lock, he was killed in between."""
COUNTED: Final = 6
"""Not 0 when the totals are those of the tree."""
STALE: Final = 7
"""How many were killed since the count began that made the totals: they may be a little off."""
COUNTED_AT: Final = 8
"""Monotonic milliseconds of the last count."""
SPACE: Final = 9
"""Units of 512 bytes, of linked files and orphans."""
FILES: Final = 10
ORPHAN_SPACE: Final = 11
ORPHAN_FILES: Final = 12
SPACE_CHURN: Final = 13
"""By how much the space of linked files ever changed, ups and downs added up (``Ledger.count``)."""
FILES_CHURN: Final = 14
SLACK: Final = 15
"""Units of 512 bytes that all workers together may add between a look at SPACE and the next."""

SHRUNK: Final = 16
"""How often an inode was found smaller than it was counted."""

UNCOUNTED: Final = 1 << 60
"""SPACE and FILES before the first count: more than any limit, so nothing passes for free."""

_WORDS: Final = 17
_PAGE: Final = 4096
_MAGIC: Final = 0x4C45_4447_4552_0001
_ENTRY: Final = 8 * WORDS
_FIRST_CAPACITY: Final = 1024
_MAX_CAPACITY: Final = 1 << 20

# Bytes whose locks mean something.
_WORDS_LOCK: Final = 0
_TURN_LOCK: Final = 1
_COUNT_LOCK: Final = 2
_WORKER_LOCKS: Final = 64

_FLOCK: Final = Struct("hhqqi4x")  # struct flock of <fcntl.h>, where Xen has a 64-bit Dom0


def _lock(kind: int, byte: int, length: int = 1) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, byte, length, 0)


class WordsLock:
    """Mutual exclusion for the words and the table; never held across anything that can wait.

    Threads of one process have the same descriptor, to which the kernel grants the lock twice:
    so there is a mutex before it.
    """

    __slots__ = ("_fd", "_mutex", "_repair", "_words")

    _LOCK: Final = _lock(fcntl.F_WRLCK, _WORDS_LOCK)
    _UNLOCK: Final = _lock(fcntl.F_UNLCK, _WORDS_LOCK)

    def __init__(self, fd: int, words: memoryview, repair: Callable[[], None]) -> None:
        """``repair`` is called when the last owner was killed before he was through."""
        self._fd = fd
        self._words = words
        self._repair = repair
        self._mutex = threading.Lock()

    def __enter__(self) -> None:
        self._mutex.acquire()
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLKW, self._LOCK)
        killed, self._words[BUSY] = self._words[BUSY], 1
        if killed:
            self._repair()

    def __exit__(self, *_exception: object) -> None:
        self._words[BUSY] = 0
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, self._UNLOCK)
        self._mutex.release()


class LedgerFile:
    """The mapped file: its words, its table, its locks."""

    def __init__(self, fd: int, repair: Callable[[], None]) -> None:
        """Take over ``fd``; ``repair`` is the lock's.  Raises ``OSError`` ENOSPC."""
        self._fd = fd
        if os.fstat(fd).st_size < _PAGE:
            # Not a hole: where there is no room for it, a store would end this process.
            os.posix_fallocate(fd, 0, _PAGE)
        self._page = mmap.mmap(fd, _PAGE)
        self.words: Final = memoryview(self._page)[: 8 * _WORDS].cast("q")
        self.lock: Final = WordsLock(fd, self.words, repair)
        self._turn = threading.Lock()
        self._mapped: tuple[int, InodeTable, mmap.mmap] | None = None

    def close(self) -> None:
        """Unmap it, and drop all locks."""
        self.unmap_table()
        self.words.release()
        self._page.close()
        os.close(self._fd)

    def join(self) -> tuple[int, int]:
        """Become a worker: the own bit, and the bits of those who died.  Under the lock.

        Begins anew where nobody else is there.  Raises ``OSError``: EUSERS when there are too many
        or they are of another version, ENOSPC.
        """
        for number in range(MAX_WORKERS):
            if self._try(_WORKER_LOCKS + number):
                break
        else:
            raise OSError(errno.EUSERS, f"{MAX_WORKERS} devices share this directory already")
        words = self.words
        if not self._anybody(_WORKER_LOCKS, MAX_WORKERS):
            self._begin()
        elif words[MAGIC] != _MAGIC:
            raise OSError(errno.EUSERS, "another version of this program serves this directory")
        return 1 << number, self.dead()

    def dead(self) -> int:
        """The bits of workers that joined, did not leave, and live no more.  Under the lock.

        The own bit is among them, if it is set: to the kernel, an own lock is in nobody's way.
        """
        joined = self.words[WORKERS]
        return sum(
            1 << number
            for number in range(MAX_WORKERS)
            if joined >> number & 1 and not self._anybody(_WORKER_LOCKS + number, 1)
        )

    def table(self) -> InodeTable:
        """The table that is in force.  Under the lock."""
        number = self.words[TABLE]
        if self._mapped is None or self._mapped[0] != number:
            self.unmap_table()
            self._mapped = self._map_table(number)
        return self._mapped[1]

    def is_full(self) -> bool:
        """Whether the table should be larger: probing gets slow beyond a half.  Under the lock."""
        return 2 * self.words[ENTRIES] >= self.words[TABLE]

    def rebuild(self, *, larger: bool = False) -> InodeTable:
        """A new table with the same entries, each of them once.  Under the lock.

        Raises ``OSError``: EMFILE where it has its largest size, ENOSPC.
        """
        old, number = self.table(), self.words[TABLE]
        mapped = self._map_table(2 * (number & ~1) if larger else number ^ 1, clear=True)
        number, new, _map = mapped
        self.words[ENTRIES] = new.merge(old)
        self.words[TABLE] = number
        self.unmap_table()
        self._mapped = mapped
        return new

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Mutual exclusion for what has to be done one at a time, and may wait for a disk."""
        with self._turn:  # as the mutex of ``WordsLock``
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLKW, _lock(fcntl.F_WRLCK, _TURN_LOCK))
            try:
                yield
            finally:
                self._unlock(_TURN_LOCK)

    def drop_locks(self) -> None:
        """Those that a process of this descriptor was killed with; ``lock`` sees to itself."""
        self._unlock(_TURN_LOCK)
        self._unlock(_COUNT_LOCK)

    def try_counting(self) -> bool:
        """Become the one who counts the tree, unless somebody else does; one thread may ask."""
        return self._try(_COUNT_LOCK)

    def end_counting(self) -> None:
        """Let others count."""
        self._unlock(_COUNT_LOCK)

    def _begin(self) -> None:
        words = self.words
        for word in set(range(_WORDS)) - {BUSY}:
            words[word] = 0
        words[SEED] = int.from_bytes(os.urandom(7)) | 1
        words[SPACE] = words[FILES] = UNCOUNTED
        words[TABLE] = _FIRST_CAPACITY
        self.unmap_table()
        self._mapped = self._map_table(_FIRST_CAPACITY, clear=True)
        words[MAGIC] = _MAGIC

    def _map_table(self, number: int, *, clear: bool = False) -> tuple[int, InodeTable, mmap.mmap]:
        capacity, half = number & ~1, number & 1
        # What another process wrote is not believed blindly: he may have been taken over.
        if not _FIRST_CAPACITY <= capacity <= _MAX_CAPACITY or capacity & capacity - 1:
            raise OSError(errno.EMFILE, f"no table for {capacity} files")
        length = capacity * _ENTRY
        at = _PAGE + (2 + half) * length
        if os.fstat(self._fd).st_size < at + length:
            os.posix_fallocate(self._fd, at, length)
        mapped = mmap.mmap(self._fd, length, offset=at)
        if clear:
            mapped[:] = bytes(length)
        return number, InodeTable(memoryview(mapped).cast("Q"), self.words[SEED]), mapped

    def unmap_table(self) -> None:
        """Until ``table`` is called next."""
        if self._mapped is not None:
            _capacity, table, mapped = self._mapped
            table.words.release()
            mapped.close()
            self._mapped = None

    def _try(self, byte: int) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _lock(fcntl.F_WRLCK, byte))
        except BlockingIOError:
            return False
        return True

    def _unlock(self, byte: int) -> None:
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _lock(fcntl.F_UNLCK, byte))

    def _anybody(self, byte: int, length: int) -> bool:
        """Whether another descriptor holds a lock on one of these bytes."""
        asked = _lock(fcntl.F_WRLCK, byte, length)
        found = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)
