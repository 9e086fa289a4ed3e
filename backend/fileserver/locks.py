"""Who holds which bytes of one file: the rules of fcntl(2), without a file or a system call.

A lock is shared (read) or exclusive (write).  Locks of one owner never conflict: what it takes
replaces what it held there, and may split, extend or join it.  What it gives back may lie in the
middle of what it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_END: Final = (1 << 63) - 1
"""The last byte that a lock can cover; a lock up to here is one "to the end of the file"."""


Range = tuple[int, int]
"""The first and the last of some bytes."""


class LockOwner(NamedTuple):
    """Whose a lock is: a process of the client, as it names the two."""

    client_id: bytes
    proc_id: int


class Claim(NamedTuple):
    """A lock that is held or asked for, on the bytes ``start`` to ``end``, both included."""

    owner: LockOwner
    start: int
    end: int
    write: bool

    def conflicts(self, other: Claim) -> bool:
        """Whether the two cannot be held at once."""
        return (
            (self.write or other.write)
            and self.start <= other.end
            and other.start <= self.end
            and self.owner != other.owner
        )


class Span(NamedTuple):
    """Bytes that an owner holds; they are given up with ``through``, which they were taken by."""

    start: int
    end: int
    write: bool
    through: object

    def joins(self, after: Span) -> bool:
        """Whether ``after``, which begins later, continues this one."""
        return (
            self.end + 1 == after.start
            and self.write == after.write
            and self.through is after.through
        )


class LockTable:
    """The locks on one file.

    Each owner's spans are sorted and apart; spans of two owners overlap only where both read.
    """

    __slots__ = ("_spans",)

    def __init__(self) -> None:
        self._spans: dict[LockOwner, list[Span]] = {}

    def __bool__(self) -> bool:
        """Whether anything is locked."""
        return bool(self._spans)

    def spans(self, owner: LockOwner) -> list[Span]:
        """What ``owner`` holds."""
        return self._spans.get(owner, [])

    def in_the_way(self, claim: Claim) -> Iterator[Claim]:
        """The locks of others with which ``claim`` conflicts, in no order."""
        # As ``Claim.conflicts``, but without making a claim of each: a table may hold thousands.
        for owner, spans in self._spans.items():
            if owner == claim.owner:
                continue
            for start, end, write, _ in spans:
                if (write or claim.write) and start <= claim.end and claim.start <= end:
                    yield Claim(owner, start, end, write)

    def with_lock(self, claim: Claim, through: object) -> list[Span]:
        """What the owner of ``claim`` would hold if it got it."""
        new = Span(claim.start, claim.end, claim.write, through)
        return _joined([*_outside(self.spans(claim.owner), claim.start, claim.end), new])

    def ranges(self, owner: LockOwner, start: int, end: int) -> list[Range]:
        """What ``owner`` holds of these bytes."""
        return [
            (max(span.start, start), min(span.end, end))
            for span in self.spans(owner)
            if span.start <= end and start <= span.end
        ]

    def without(self, owner: LockOwner, start: int, end: int) -> list[Span]:
        """What ``owner`` would hold if it unlocked these bytes."""
        return list(_outside(self.spans(owner), start, end))

    def put(self, owner: LockOwner, spans: list[Span]) -> None:
        """Let ``spans``, sorted and apart, be all that ``owner`` holds."""
        if spans:
            self._spans[owner] = spans
        else:
            self._spans.pop(owner, None)

    def taken_through(self, through: object) -> Iterator[tuple[LockOwner, list[Span]]]:
        """Each owner that took locks through ``through``, and what it would hold without them."""
        for owner, spans in self._spans.items():
            rest = [span for span in spans if span.through is not through]
            if len(rest) < len(spans):
                yield owner, rest

    def free_in(self, ranges: Iterable[Range]) -> Iterator[Range]:
        """The parts of ``ranges`` that nobody holds."""
        held = _union((span.start, span.end) for spans in self._spans.values() for span in spans)
        at = 0
        for start, end in _union(ranges):
            free = start
            while at < len(held) and held[at][1] < start:
                at += 1
            while at < len(held) and held[at][0] <= end:
                first, last = held[at]
                if free < first:
                    yield free, first - 1
                free = last + 1
                if free > end:
                    break  # it may reach into the next range
                at += 1
            if free <= end:
                yield free, end


def _outside(spans: list[Span], start: int, end: int) -> Iterator[Span]:
    """What remains of ``spans`` outside of the bytes ``start`` to ``end``."""
    for span in spans:
        if span.end < start or end < span.start:
            yield span
            continue
        if span.start < start:
            yield span._replace(end=start - 1)
        if end < span.end:
            yield span._replace(start=end + 1)


def _joined(spans: list[Span]) -> list[Span]:
    """The same locks in order, in as few spans as can be."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if joined and joined[-1].joins(span):
            joined[-1] = joined[-1]._replace(end=span.end)
        else:
            joined.append(span)
    return joined


def _union(ranges: Iterable[Range]) -> list[Range]:
    """All bytes of ``ranges``, in ranges that are sorted and apart."""
    union: list[Range] = []
    for start, end in sorted(ranges):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((start, end))
    return union
