"""Inodes that somebody holds: a hash table in memory that several processes map.

Its callers hold the ledger's lock.  A process may be killed between any two stores; whatever it
leaves behind can be put in order by ``merge``, because an entry is complete before its key is
written, and is copied before it is erased: none is ever lost, at worst one is there twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT: Final = 512
"""Bytes of a block as stat(2) counts them."""

WORDS: Final = 4
"""Of 64 bits each: the key (0: free), then these."""

BLOCKS: Final = 1
"""What the ledger has counted for it, in units of ``UNIT``."""
HOLDERS: Final = 2
"""The workers that hold a descriptor of any kind, a bit each; and ``ORPHAN``."""
OPENERS: Final = 3
"""The workers that have it open for reading or writing, a bit each."""

ORPHAN: Final = 1 << 63
"""It has no name any more, and goes with its last holder."""

_WORD: Final = (1 << 64) - 1


class InodeTable:
    """Open addressing with linear probing in ``words``; a power of two of entries."""

    __slots__ = ("_mask", "_seed", "words")

    def __init__(self, words: memoryview, seed: int) -> None:
        """``words`` are 64-bit ones without sign.

        ``seed``, odd and unknown to guests: whoever picks inode numbers to collide picks blindly.
        """
        self.words: Final = words
        self._mask = len(words) // WORDS - 1
        self._seed = seed

    def place(self, key: int) -> int:
        """The index of the entry of ``key``; where there is none, the free place it would have."""
        words, mask = self.words, self._mask
        slot = self._home(key)
        while words[slot * WORDS] not in (0, key):
            slot = slot + 1 & mask
        return slot * WORDS

    def insert(self, at: int, key: int, blocks: int, holders: int, openers: int) -> None:
        """Fill the free place ``at``, which ``place`` gave."""
        words = self.words
        words[at + BLOCKS] = blocks
        words[at + HOLDERS] = holders
        words[at + OPENERS] = openers
        words[at] = key

    def remove(self, at: int) -> None:
        """Free the entry ``at``, and close the gap: those behind it move up as far as they may."""
        words, mask = self.words, self._mask
        gap = slot = at // WORDS
        while True:
            slot = slot + 1 & mask
            key = words[slot * WORDS]
            if not key:
                break
            # It may move to the gap unless it lies between its home and where it is now.
            if (slot - self._home(key) & mask) >= (slot - gap & mask):
                self._copy(slot, gap)
                gap = slot
        words[gap * WORDS] = 0

    def entries(self) -> Iterator[tuple[int, int, int, int]]:
        """Key, blocks, holders and openers of each; a copy, so the table may change meanwhile."""
        flat = self.words.tolist()
        for at in range(0, len(flat), WORDS):
            if flat[at]:
                key, blocks, holders, openers = flat[at : at + WORDS]
                yield key, blocks, holders, openers

    def merge(self, other: InodeTable) -> int:
        """Take over what ``other`` has; how many entries that were."""
        count = 0
        for key, blocks, holders, openers in other.entries():
            at = self.place(key)
            if not self.words[at]:
                self.insert(at, key, blocks, holders, openers)
                count += 1
        return count

    def _copy(self, source: int, target: int) -> None:
        words, source, target = self.words, source * WORDS, target * WORDS
        # Not all at once: with its key alone it would be found before the rest of it is there.
        words[target + 1 : target + WORDS] = words[source + 1 : source + WORDS]
        words[target] = words[source]

    def _home(self, key: int) -> int:
        # Multiplying mixes upwards: the lowest bits of the product are the key's own.
        return (key * self._seed & _WORD) >> 32 & self._mask
