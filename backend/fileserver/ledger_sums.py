"""The sums of a ledger, and the entries of the inodes that its workers hold.

The rules that make the sums exact:

1. An inode that a worker holds, by whatever descriptor, has an entry with the blocks that have been
   counted for it.  ``settle`` compares with fstat(2) and counts the difference, under the lock: so
   it does not matter who has grown it, nor who settles first.
2. An inode without a name (an orphan) is counted until its last holder has closed it.  A holder
   that is killed has let go: the next one to join, or to meet a limit, clears up after it.
3. A tree that was counted anew replaces the sums of linked files only as far as what changed
   meanwhile leaves no doubt (``correct``).

All methods are called under the lock, ``file.lock``.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from backend.fileserver import ledger_file as at
from backend.fileserver.inode_table import BLOCKS, HOLDERS, OPENERS, ORPHAN, UNIT
from backend.fileserver.ledger_file import LedgerFile

if TYPE_CHECKING:
    from collections.abc import Container

    from backend.fileserver.census import Found
    from backend.fileserver.inode_table import InodeTable

STEP: Final = (2 << 20) // UNIT
"""Blocks that one request may add at the most: a message of 1 MiB, what rounding adds to it, and
what the file system needs to find it again."""


class Sums:
    """What all workers have counted; the changes are one worker's."""

    def __init__(self, fd: int) -> None:
        """Take over ``fd``, the ledger's file.  Raises ``OSError`` ENOSPC."""
        self._own = 0
        self.file: Final = LedgerFile(fd, self._repair)
        self._words: Final = self.file.words

    def join(self) -> None:
        """Become one of the workers.  Raises ``OSError`` as ``LedgerFile.join``."""
        self._own, dead = self.file.join()
        self._bury(dead)
        self._set_workers(self._words[at.WORKERS] | self._own)

    def leave(self) -> None:
        """What this worker still holds it lets go of."""
        self._strike(self._own)
        self._set_workers(self._words[at.WORKERS] & ~self._own)

    def bury(self) -> None:
        """Clear up after workers that were killed."""
        self._bury(self.file.dead() & ~self._own)

    def killed(self) -> None:
        """What was just being done is in the tree, but may not be in the sums."""
        self._words[at.STALE] += 1

    def strike_all_but(self, held: Container[int], opened: Container[int]) -> None:
        """This worker holds, and has open, these alone; both by their keys."""
        table = self.file.table()
        for key, _blocks, holders, openers in table.entries():
            place = table.place(key)
            if openers & self._own and key not in opened:
                table.words[place + OPENERS] = openers & ~self._own
            if holders & self._own and key not in held:
                self._release(table, place, self._own)

    @property
    def age(self) -> float:
        """Seconds since the tree was counted; one word, so the lock is not needed."""
        return (_now() - self._words[at.COUNTED_AT]) / 1000

    def enter(self, key: int, fd: int) -> None:
        """This worker holds an inode that it did not hold before.

        Raises ``OSError``: EMFILE, ENOSPC where there can be no more entries.
        """
        table, words = self.file.table(), self._words
        place = table.place(key)
        if table.words[place]:
            table.words[place + HOLDERS] |= self._own
            return
        if self.file.is_full():
            table = self.file.rebuild(larger=True)
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

    def let_go(self, key: int) -> None:
        """This worker holds it no more."""
        table = self.file.table()
        self._release(table, table.place(key), self._own)

    def settle(self, key: int, fd: int) -> bool:
        """Count what was added to or taken from a held inode; whether it is an orphan."""
        table = self.file.table()
        place = table.place(key)
        status = os.fstat(fd)
        entry, words = table.words, self._words
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
        return not status.st_nlink

    def made(self, key: int | None, files: int, blocks: int) -> None:
        """As ``Ledger.made``."""
        words = self._words
        if key is not None:
            table = self.file.table()
            blocks = table.words[table.place(key) + BLOCKS]
        words[at.FILES] += files
        words[at.FILES_CHURN] += files
        words[at.SPACE] += blocks
        words[at.SPACE_CHURN] += blocks

    def opened(self, key: int) -> None:
        """This worker has it open for reading or writing."""
        table = self.file.table()
        table.words[table.place(key) + OPENERS] |= self._own

    def closed(self, key: int) -> None:
        """This worker has it open no more."""
        table = self.file.table()
        table.words[table.place(key) + OPENERS] &= ~self._own

    def in_use(self, key: int) -> tuple[bool, bool]:
        """Of a file that this worker holds: does another hold it, is it open anywhere."""
        table = self.file.table()
        place = table.place(key)
        holders = table.words[place + HOLDERS] & ~ORPHAN
        return holders != self._own, table.words[place + OPENERS] != 0

    def correct(self, found: Found, then: list[int]) -> None:
        """Make ``found`` the totals of linked files; ``then`` are the words as the count began.

        A file that is held counts with what its entry says, because that is what the next
        ``settle`` starts from.  For the rest, what changed during the count may be in it or not: a
        total is known up to the sum of these changes.  If it lies within these bounds it stays,
        else it moves to the nearer one.
        """
        words = self._words
        space, doubt = found.space, words[at.SPACE_CHURN] - then[at.SPACE_CHURN]
        for key, blocks, holders, _openers in self.file.table().entries():
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
        words = self._words
        if words[at.COUNTED]:
            linked = words[total] - words[orphans]
            found = min(max(linked, found - doubt), found + doubt)
        words[total] = found + words[orphans]

    def _repair(self) -> None:
        """Somebody was killed between two stores: no entry is lost, the sums may be wrong."""
        words = self._words
        if not self._own:
            return  # not joined yet: ``_bury`` does it, for he is among the dead
        table = self.file.rebuild()
        linked_space = words[at.SPACE] - words[at.ORPHAN_SPACE]
        linked_files = words[at.FILES] - words[at.ORPHAN_FILES]
        orphans = [blocks for _key, blocks, holders, _ in table.entries() if holders & ORPHAN]
        words[at.ORPHAN_SPACE], words[at.ORPHAN_FILES] = sum(orphans), len(orphans)
        words[at.SPACE] = linked_space + words[at.ORPHAN_SPACE]
        words[at.FILES] = linked_files + words[at.ORPHAN_FILES]
        words[at.STALE] += 1

    def _set_workers(self, bits: int) -> None:
        self._words[at.WORKERS] = bits
        self._words[at.SLACK] = STEP * bits.bit_count()

    def _bury(self, dead: int) -> None:
        if dead:
            # What it was just doing is in the tree, but may not be in the sums.
            self._repair()
            self._strike(dead)
            self._set_workers(self._words[at.WORKERS] & ~dead)

    def _strike(self, bits: int) -> None:
        """Whatever these workers hold or have open, they do so no more."""
        table = self.file.table()
        for key, _blocks, holders, openers in table.entries():
            if (holders | openers) & bits:
                place = table.place(key)
                table.words[place + OPENERS] = openers & ~bits
                self._release(table, place, bits)

    def _release(self, table: InodeTable, place: int, bits: int) -> None:
        entry, words = table.words, self._words
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
