"""What lies under a root, counted by all the processes that serve it together.

Space is ``st_blocks``, so holes are free and a file with two names counts once; files are inodes of
any kind, but for the root itself.  ``ledger_sums`` has the rules that make the sums exact; here is
what one worker holds, and when it takes the lock.

A name is removed only in ``turn``, and by a worker that holds the file: so that it has no name any
more is noticed once, and never after its entry has gone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.fileserver import ledger_file as at
from backend.fileserver.ledger_sums import Sums

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from backend.fileserver.census import Found
    from backend.fileserver.qids import Status


class Totals(NamedTuple):
    """What lies under a root; ``space`` in blocks."""

    space: int
    files: int


class Ledger:
    """One worker's view of the counts of a root.

    One thread calls all methods but ``count``, which may run in another.
    """

    def __init__(self, directory: str, root_fd: int) -> None:
        """Join those who serve the directory ``root_fd``; ``directory`` keeps all ledgers.

        Raises ``OSError``: EUSERS when there are too many of them, and what open(2) says.
        """
        self._held: dict[int, int] = {}
        self._open: dict[int, int] = {}
        self._closed = False
        status = os.fstat(root_fd)
        self._device = status.st_dev
        os.makedirs(directory, mode=0o700, exist_ok=True)
        path = os.path.join(directory, f"{status.st_dev:x}-{status.st_ino}")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._sums: Final = Sums(os.open(path, flags, 0o600))
        self._file: Final = self._sums.file
        self.words: Final = self._file.words
        """For a look without the lock: a word is loaded in one piece."""
        try:
            with self._file.lock:
                self._sums.join()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Leave; what is still held is let go of."""
        self._closed = True
        try:
            with self._file.lock:
                self._sums.leave()
        finally:
            self._file.close()

    def lend(self) -> None:
        """Other processes are to be this worker, one after the other, with the descriptors of this
        one: what each maps is its own.
        """
        self._file.unmap_table()

    def begin_again(self) -> None:
        """The process that was this worker was killed, and held what only the table says."""
        self._file.drop_locks()
        with self._file.lock:
            self._sums.killed()

    def go_on(self) -> None:
        """Let go of what it held, and this process does not."""
        with self._file.lock:
            self._sums.strike_all_but(self._held, self._open)

    def turn(self) -> AbstractContextManager[None]:
        """The body is the only one among all workers; it may wait for a disk."""
        return self._file.turn()

    @property
    def totals(self) -> Totals:
        """What is counted now, orphans among it; means something once ``counted``."""
        return Totals(self.words[at.SPACE], self.words[at.FILES])

    @property
    def counted(self) -> bool:
        """Whether the tree has been counted since the first of the present workers came."""
        return self.words[at.COUNTED] != 0

    @property
    def stale(self) -> bool:
        """Whether a worker was killed since the tree was counted."""
        return self.words[at.STALE] != 0

    @property
    def age(self) -> float:
        """Seconds since the tree was counted."""
        return self._sums.age

    def key(self, path: int, fd: int) -> int:
        """An inode's key, the same for all workers, from its qid path in this process."""
        if path >> 48 == 0:
            return path
        # Of a file system mounted below the root: there the qid path is this process's own.
        return self.key_of(os.fstat(fd))

    def key_of(self, status: Status) -> int:
        """As ``key``, from what stat(2) says."""
        if status.st_dev == self._device and status.st_ino >> 48 == 0:
            return status.st_ino
        digest = blake2b(f"{status.st_dev} {status.st_ino}".encode(), digest_size=8)
        return int.from_bytes(digest.digest()) | 1 << 63

    def hold(self, key: int, fd: int) -> None:
        """A descriptor more of this inode is held: ``fd``.

        Raises ``OSError``: EMFILE, ENOSPC where the ledger can take no more of them.
        """
        count = self._held.get(key, 0)
        if not count:
            with self._file.lock:
                self._sums.enter(key, fd)
        self._held[key] = count + 1

    def let_go(self, key: int, fd: int) -> None:
        """Close ``fd``, for which ``hold`` was called."""
        if self._closed:
            os.close(fd)
        elif self._held[key] > 1:
            self._held[key] -= 1
            os.close(fd)
        else:
            self._let_go_last(key, fd)

    def hold_on(self, key: int) -> None:
        """A held inode is held once more, by a descriptor that is none of the ledger's business."""
        self._held[key] += 1

    def let_go_of(self, key: int) -> None:
        """That descriptor has been closed."""
        if self._held[key] > 1:
            self._held[key] -= 1
            return
        with self._file.lock:
            self._drop(key)

    def settle(self, key: int, fd: int) -> None:
        """Count what was added to or taken from a held inode."""
        with self._file.lock:
            self._sums.settle(key, fd)

    def made(self, key: int | None, files: int = 1, blocks: int = 0) -> None:
        """An inode with a name has been created, and is held.

        ``None``: it is not, because it has gone from its name already, or cannot be held; then
        ``blocks`` are what it may take.  One without a name is counted by ``hold``.
        """
        with self._file.lock:
            self._sums.made(key, files, blocks)

    def opened(self, key: int) -> None:
        """A held file is open for reading or writing, and held as long."""
        count = self._open[key] = self._open.get(key, 0) + 1
        self._held[key] += 1
        if count == 1:
            with self._file.lock:
                self._sums.opened(key)

    def closed(self, key: int) -> None:
        """What ``opened`` was called for has been closed."""
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]
            with self._file.lock:
                self._sums.closed(key)
        self.let_go_of(key)

    def in_use(self, key: int) -> tuple[bool, bool]:
        """Of a file that this worker holds once: does anybody else hold it, is it open anywhere."""
        with self._file.lock:
            elsewhere, is_open = self._sums.in_use(key)
        return elsewhere or self._held[key] > 1, is_open

    def bury(self) -> None:
        """Clear up after workers that were killed."""
        with self._file.lock:
            self._sums.bury()

    def count(
        self,
        count: Callable[[frozenset[int]], Found | None],
        wait: Callable[[], bool],
        *,
        again: bool = False,
    ) -> None:
        """Have the tree counted, by one worker at a time, and correct the totals by it.

        ``count`` is told the keys of which it must say what it saw, and gives ``None`` when it
        gave up.  ``wait`` is called while somebody else counts, and ends that by returning true;
        that other count will do, unless ``again`` asks for one of our own.
        """
        before = self.words[at.COUNTED_AT]
        while not self._file.try_counting():
            if wait():
                return
        try:
            if self.words[at.COUNTED_AT] != before and not again:
                return  # somebody did it while this one waited
            with self._file.lock:
                then = self.words.tolist()
                held = frozenset(key for key, *_ in self._file.table().entries())
            found = count(held)
            if found is not None:
                # Nobody is just removing a name: what is gone from the tree is gone from the sums.
                with self._file.turn(), self._file.lock:
                    self._sums.correct(found, then)
        finally:
            self._file.end_counting()

    def _let_go_last(self, key: int, fd: int) -> None:
        orphan = True
        # Where the host does not say what it has now, it goes as it was counted last.
        with suppress(OSError), self._file.lock:
            orphan = self._sums.settle(key, fd)
            if not orphan:
                self._drop(key)
        # What is freed counts as long as it takes to free it.
        os.close(fd)
        if orphan:
            with self._file.lock:
                self._drop(key)

    def _drop(self, key: int) -> None:
        """Under the lock: this worker holds it no more."""
        del self._held[key]
        self._sums.let_go(key)
