"""Decisions drawn from a fuzzer's bytes: every byte string is a test case, and the same one twice
makes the same decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

_T = TypeVar("_T")


class Choices:
    """Reads ``data`` from its start; when it is used up, every decision is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether there is anything left."""
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        """At most ``count`` bytes, as they come."""
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def number(self, bits: int) -> int:
        """An unsigned number of so many bits."""
        return int.from_bytes(self.take((bits + 7) // 8), "little") & ((1 << bits) - 1)

    def below(self, bound: int) -> int:
        """A number from 0 to ``bound - 1``; ``bound`` is 65,536 at most."""
        return self.number(16 if bound > 256 else 8) % bound

    def pick(self, options: Sequence[_T]) -> _T:
        """One of a few."""
        return options[self.below(len(options))]

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(len(self._data))
