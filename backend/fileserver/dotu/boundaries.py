"""Where the entries of a directory that was read as a stream of bytes begin and end."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import Final

MAX_MARKS: Final = 4096
"""Boundaries remembered for one open directory, 16 bytes each: 64 KiB.  A program goes back to
places it has just been told, and the newer half of the marks has them all; older places cost
reading on from the mark before, some hundred entries in a directory of 100,000."""


class Boundaries:
    """The boundaries of entries that a client was given: byte offset, and the cookie to go on from.

    The newer half is complete; of the older ones, every ``stride``-th is left.  They hold until the
    directory, read again, turns out to have changed.
    """

    __slots__ = ("_cookies", "_offsets", "_sparse", "_stride")

    def __init__(self) -> None:
        """The beginning is a boundary."""
        self._offsets = array("Q", [0])
        self._cookies = array("Q", [0])
        self._sparse = 0
        """So many marks at the front are what thinning left."""
        self._stride = 2

    def __len__(self) -> int:
        """Marks kept, ``MAX_MARKS`` at most."""
        return len(self._offsets)

    @property
    def furthest(self) -> int:
        """The last boundary."""
        return self._offsets[-1]

    def before(self, offset: int) -> tuple[int, int]:
        """The last mark, offset and cookie, that is not after ``offset``."""
        index = bisect_right(self._offsets, offset) - 1
        return self._offsets[index], self._cookies[index]

    def note(self, start: int, end: int, cookie: int) -> None:
        """An entry was read from ``start`` to ``end``, and ``cookie`` goes on after it.

        Where that contradicts a mark, the directory has changed: that mark and all after it go.
        """
        index = bisect_left(self._offsets, start + 1)
        if index < len(self._offsets):
            if self._offsets[index] > end:
                return  # between two marks of a part that has been thinned
            if self._offsets[index] == end and self._cookies[index] == cookie:
                return
            self._cut(index)
        if len(self._offsets) >= MAX_MARKS:
            self._thin()
        self._offsets.append(end)
        self._cookies.append(cookie)

    def _cut(self, index: int) -> None:
        del self._offsets[index:], self._cookies[index:]
        self._sparse = min(self._sparse, index)

    def _thin(self) -> None:
        half = len(self._offsets) // 2
        for marks in (self._offsets, self._cookies):
            marks[:half] = marks[: self._sparse] + marks[self._sparse : half : self._stride]
        self._sparse += len(range(self._sparse, half, self._stride))
        if self._sparse > half // 2:
            for marks in (self._offsets, self._cookies):
                marks[: self._sparse] = marks[: self._sparse : 2]
            self._sparse = len(range(0, self._sparse, 2))
            self._stride *= 2
