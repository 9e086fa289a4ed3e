"""The limits of a quota: whether so much more may be added, and what is done where it may not.

How a limit holds although many processes add at once, without a lock on the way that is taken most:
the ledger keeps a slack, as much as all workers together may add between a look at the totals and
the next.  Whoever finds more room than the slack goes ahead and counts afterwards.  Nearer to the
limit one worker at a time looks, adds and counts (``Ledger.turn``).
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from backend.fileserver import ledger_file as at
from backend.fileserver.inode_table import UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.fileserver.files import Space
    from backend.fileserver.ledger import Ledger
    from backend.fileserver.policies.counting import Counting
    from backend.fileserver.policies.oldest_first import OldestFirst

UNLIMITED: Final = 1 << 59
"""In blocks or files; below what the ledger says as long as nobody has counted."""


class Room:
    """What one worker may still add; blocks are the ledger's, of 512 bytes."""

    def __init__(
        self,
        ledger: Ledger,
        counting: Counting,
        oldest_first: OldestFirst | None,
        *,
        max_space: int | None,
        max_files: int | None,
    ) -> None:
        """Limits in bytes and files; ``oldest_first`` makes room where there is none."""
        self._ledger = ledger
        self._counting = counting
        self._oldest_first = oldest_first
        self.max_blocks: Final = UNLIMITED if max_space is None else max_space // UNIT
        self.max_files: Final = UNLIMITED if max_files is None else max_files

    @contextmanager
    def adding(self, blocks: int, files: int = 0) -> Iterator[None]:
        """The body may add so much, and count it.

        Raises ``OSError``: ENOSPC, EDQUOT.
        """
        self._counting.ready()
        words, totals = self._ledger.words, self._ledger.totals
        if (
            totals.space + words[at.SLACK] <= self.max_blocks
            and totals.files + words[at.WORKERS].bit_count() <= self.max_files
        ):
            yield
            return
        while True:
            with self._ledger.turn():
                if self.make(blocks, files):
                    yield
                    return
                refusal = self.full(blocks)
            if not self.look_again():
                raise refusal

    def left(self) -> int:
        """Bytes until the limit; less than 0 beyond it."""
        return (self.max_blocks - self._ledger.totals.space) * UNIT

    def fits(self, blocks: int, files: int) -> bool:
        """Whether so much may be added; what adds nothing of a kind needs no room of that kind."""
        totals = self._ledger.totals
        return (not blocks or totals.space + blocks <= self.max_blocks) and (
            not files or totals.files + files <= self.max_files
        )

    def make(self, blocks: int, files: int) -> bool:
        """In a turn: whether so much may be added, perhaps after something has been deleted."""
        if self.fits(blocks, files):
            return True
        return self._oldest_first is not None and self._oldest_first.free(blocks, files)

    def full(self, blocks: int) -> OSError:
        """In a turn, where there is no room: why, for so much space and a file or none."""
        if self.fits(blocks, 0):
            return OSError(errno.EDQUOT, f"max-files: all {self.max_files} are in use")
        return OSError(errno.ENOSPC, f"max-space: {self.left()} bytes are left")

    def look_again(self) -> bool:
        """Out of a turn, where there was no room: whether it is worth another try."""
        if self._oldest_first is not None and self._oldest_first.refresh():
            return True
        self._counting.recount()
        return False

    def shown(self, space: Space) -> Space:
        """A file system as large as the limits, and as full as what is counted."""
        totals = self._ledger.totals
        if self.max_blocks != UNLIMITED:
            free = max(0, self.max_blocks - totals.space) * UNIT // space.bsize
            space = space._replace(
                blocks=self.max_blocks * UNIT // space.bsize,
                bfree=free,
                bavail=min(free, space.bavail),
            )
        if self.max_files != UNLIMITED:
            free = max(0, self.max_files - totals.files)
            # A file system without a fixed number of inodes (btrfs) reports none at all.
            free = min(free, space.ffree) if space.files else free
            space = space._replace(files=min(self.max_files, totals.files + free), ffree=free)
        return space
