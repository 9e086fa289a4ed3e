"""Fids and tags: numbers that the client chooses, each from a bounded pool that owns them."""

from __future__ import annotations

import errno
from collections import deque


class NumberPool:
    """The numbers ``0 .. limit - 1``; the one given back longest ago is taken next.

    In that order, because a tag's number picks its ring: a window of tags that is reused in turn
    stays spread over all rings.
    """

    __slots__ = ("_free", "_fresh", "limit", "what")

    def __init__(self, what: str, limit: int) -> None:
        self.what = what
        self.limit = limit
        self._fresh = 0
        self._free: deque[int] = deque()

    @property
    def in_use(self) -> int:
        """How many are taken."""
        return self._fresh - len(self._free)

    @property
    def exhausted(self) -> bool:
        """Whether ``take`` would fail."""
        return not self._free and self._fresh == self.limit

    def take(self) -> int:
        """A number not in use.  Raises ``OSError`` (EMFILE) when all are."""
        if self._free:
            return self._free.popleft()
        if self._fresh == self.limit:
            raise OSError(
                errno.EMFILE, f"all {self.limit} {self.what} are in use; close some first"
            )
        self._fresh += 1
        return self._fresh - 1

    def give_back(self, number: int) -> None:
        """Free a number that ``take`` gave."""
        self._free.append(number)
