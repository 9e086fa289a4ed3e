"""What lies under a root, counted by all the processes that serve it together.

Space is ``st_blocks``, so holes are free and a file with two names counts once; files are inodes of
any kind, but for the root itself.  The rules that make the sums exact:

1. An inode that a worker holds, by whatever descriptor, has an entry with the blocks that have been
   counted for it.  ``settle`` compares with fstat(2) and counts the difference, under the lock: so
   it does not matter who has grown it, nor who settles first.
2. An inode without a name (an orphan) is counted until its last holder has closed it.  A holder
   that is killed has let go: the next one to join, or to meet a limit, clears up after it.
3. A tree that was counted anew replaces the sums of linked files only as far as what changed
   meanwhile leaves no doubt (``correct``).

A name is removed only in ``turn``, and by a worker that holds the file: so that it has no name any
more is noticed once, and never after its entry has gone.
"""

from __future__ import annotations

import os
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.fileserver import ledger_file as at
from backend.fileserver.inode_table import BLOCKS, HOLDERS, OPENERS, ORPHAN
from backend.fileserver.ledger_file import LedgerFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from backend.fileserver.census import Found
    from backend.fileserver.inode_table import InodeTable
    from backend.fileserver.qids import Status

UNIT: Final = 512
"""Bytes of a block as stat(2) counts them."""

STEP: Final = (2 << 20) // UNIT
"""Blocks that one request may add at the most: a message of 1 MiB, what rounding adds to it, and
what the file system needs to find it again."""


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
        self._own = 0
        self._held: dict[int, int] = {}
        self._open: dict[int, int] = {}
        self._closed = False
        status = os.fstat(root_fd)
        self._device = status.st_dev
        os.makedirs(directory, mode=0o700, exist_ok=True)
        path = os.path.join(directory, f"{status.st_dev:x}-{status.st_ino}")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file: Final = LedgerFile(os.open(path, flags, 0o600), self._repair)
        self.words: Final = self._file.words
        """For a look without the lock: a word is loaded in one piece."""
        try:
            with self._file.lock:
                self._own, dead = self._file.join()
                self._bury(dead)
                self._set_workers(self.words[at.WORKERS] | self._own)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Leave; what is still held is let go of."""
        self._closed = True
        try:
            with self._file.lock:
                self._strike(self._own)
                self._set_workers(self.words[at.WORKERS] & ~self._own)
        finally:
            self._file.close()

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
        return (_now() - self.words[at.COUNTED_AT]) / 1000

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
                self._enter(key, fd)
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
            table = self._file.table()
            self._settle(table, table.place(key), fd)

    def made(self, key: int | None, files: int = 1, blocks: int = 0) -> None:
        """An inode with a name has been created, and is held.

        ``None``: it is not, because it has gone from its name already, or cannot be held; then
        ``blocks`` are what it may take.  One without a name is counted by ``hold``.
        """
        words = self.words
        with self._file.lock:
            if key is not None:
                table = self._file.table()
                blocks = table.words[table.place(key) + BLOCKS]
            words[at.FILES] += files
            words[at.FILES_CHURN] += files
            words[at.SPACE] += blocks
            words[at.SPACE_CHURN] += blocks

    def opened(self, key: int) -> None:
        """A held file is open for reading or writing, and held as long."""
        count = self._open[key] = self._open.get(key, 0) + 1
        self._held[key] += 1
        if count == 1:
            with self._file.lock:
                table = self._file.table()
                table.words[table.place(key) + OPENERS] |= self._own

    def closed(self, key: int) -> None:
        """What ``opened`` was called for has been closed."""
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]
            with self._file.lock:
                table = self._file.table()
                table.words[table.place(key) + OPENERS] &= ~self._own
        self.let_go_of(key)

    def in_use(self, key: int) -> tuple[bool, bool]:
        """Of a file that this worker holds once: does anybody else hold it, is it open anywhere."""
        with self._file.lock:
            table = self._file.table()
            place = table.place(key)
            holders = table.words[place + HOLDERS] & ~ORPHAN
            held = holders != self._own or self._held[key] > 1
            return held, table.words[place + OPENERS] != 0

    def bury(self) -> None:
        """Clear up after workers that were killed."""
        with self._file.lock:
            self._bury(self._file.dead() & ~self._own)

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
                    self._correct(found, then)
        finally:
            self._file.end_counting()

    def _let_go_last(self, key: int, fd: int) -> None:
        with self._file.lock:
            table = self._file.table()
            place = table.place(key)
            self._settle(table, place, fd)
            orphan = table.words[place + HOLDERS] & ORPHAN
            if not orphan:
                self._drop(key)
        # What is freed counts as long as it takes to free it.
        os.close(fd)
        if orphan:
            with self._file.lock:
                self._drop(key)

    # From here on: under the lock.

    def _correct(self, found: Found, then: list[int]) -> None:
        """Make ``found`` the totals of linked files; ``then`` are the words as the count began.

        A file that is held counts with what its entry says, because that is what the next
        ``settle`` starts from.  For the rest, what changed during the count may be in it or not: a
        total is known up to the sum of these changes.  If it lies within these bounds it stays,
        else it moves to the nearer one.
        """
        words = self.words
        space, doubt = found.space, words[at.SPACE_CHURN] - then[at.SPACE_CHURN]
        for key, blocks, holders, _openers in self._file.table().entries():
            if key in found.held:
                space += blocks - found.held[key]
            elif not holders & ORPHAN:
                doubt += blocks
        self._move(at.SPACE, at.ORPHAN_SPACE, space, doubt)
        self._move(
            at.FILES, at.ORPHAN_FILES, found.files, words[at.FILES_CHURN] - then[at.FILES_CHURN]
        )
        words[at.STALE] -= then[at.STALE]
        words[at.COUNTED_AT] = _now()
        words[at.COUNTED] = 1

    def _move(self, total: int, orphans: int, found: int, doubt: int) -> None:
        words = self.words
        if words[at.COUNTED]:
            linked = words[total] - words[orphans]
            found = min(max(linked, found - doubt), found + doubt)
        words[total] = found + words[orphans]

    def _repair(self) -> None:
        """Somebody was killed between two stores: no entry is lost, the sums may be wrong."""
        words = self.words
        if not self._own:
            return  # not joined yet: ``_bury`` does it, for he is among the dead
        table = self._file.rebuild()
        linked = Totals(
            words[at.SPACE] - words[at.ORPHAN_SPACE], words[at.FILES] - words[at.ORPHAN_FILES]
        )
        orphans = [blocks for _key, blocks, holders, _ in table.entries() if holders & ORPHAN]
        words[at.ORPHAN_SPACE], words[at.ORPHAN_FILES] = sum(orphans), len(orphans)
        words[at.SPACE] = linked.space + words[at.ORPHAN_SPACE]
        words[at.FILES] = linked.files + words[at.ORPHAN_FILES]
        words[at.STALE] += 1

    def _set_workers(self, bits: int) -> None:
        self.words[at.WORKERS] = bits
        self.words[at.SLACK] = STEP * bits.bit_count()

    def _bury(self, dead: int) -> None:
        if dead:
            # What it was just doing is in the tree, but may not be in the sums.
            self._repair()
            self._strike(dead)
            self._set_workers(self.words[at.WORKERS] & ~dead)

    def _strike(self, bits: int) -> None:
        """Whatever these workers hold or have open, they do so no more."""
        table = self._file.table()
        for key, _blocks, holders, openers in table.entries():
            if (holders | openers) & bits:
                place = table.place(key)
                table.words[place + OPENERS] = openers & ~bits
                self._release(table, place, bits)

    def _enter(self, key: int, fd: int) -> None:
        table, words = self._file.table(), self.words
        place = table.place(key)
        if table.words[place]:
            table.words[place + HOLDERS] |= self._own
            return
        if self._file.is_full():
            table = self._file.rebuild(larger=True)
            place = table.place(key)
        status = os.fstat(fd)
        holders = self._own
        if not status.st_nlink:
            # Made without a name; or the last one went between open(2) and now, and with that it
            # was counted off.
            holders |= ORPHAN
            words[at.SPACE] += status.st_blocks
            words[at.ORPHAN_SPACE] += status.st_blocks
            words[at.FILES] += 1
            words[at.ORPHAN_FILES] += 1
        table.insert(place, key, status.st_blocks, holders, 0)
        words[at.ENTRIES] += 1

    def _settle(self, table: InodeTable, place: int, fd: int) -> None:
        status = os.fstat(fd)
        entry, words = table.words, self.words
        grown = status.st_blocks - entry[place + BLOCKS]
        orphan = entry[place + HOLDERS] & ORPHAN
        if grown:
            entry[place + BLOCKS] = status.st_blocks
            words[at.SPACE] += grown
            words[at.SHRUNK] += grown < 0
            if orphan:
                words[at.ORPHAN_SPACE] += grown
            else:
                words[at.SPACE_CHURN] += abs(grown)
        if (not status.st_nlink) != bool(orphan):
            # Its last name has gone, or an unnamed file (O_TMPFILE) has got one.
            entry[place + HOLDERS] ^= ORPHAN
            sign = -1 if orphan else 1
            words[at.ORPHAN_SPACE] += sign * status.st_blocks
            words[at.ORPHAN_FILES] += sign
            words[at.SPACE_CHURN] += status.st_blocks
            words[at.FILES_CHURN] += 1

    def _drop(self, key: int) -> None:
        """This worker holds it no more."""
        del self._held[key]
        table = self._file.table()
        self._release(table, table.place(key), self._own)

    def _release(self, table: InodeTable, place: int, bits: int) -> None:
        entry, words = table.words, self.words
        holders = entry[place + HOLDERS] & ~bits
        if holders & ~ORPHAN:
            entry[place + HOLDERS] = holders
            return
        if holders:
            words[at.SPACE] -= entry[place + BLOCKS]
            words[at.ORPHAN_SPACE] -= entry[place + BLOCKS]
            words[at.FILES] -= 1
            words[at.ORPHAN_FILES] -= 1
        table.remove(place)
        words[at.ENTRIES] -= 1


def _now() -> int:
    return time.monotonic_ns() // 1_000_000
