"""The lock table against a naive one, which keeps what each owner holds of each byte."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from backend.fileserver.locks import MAX_END, Claim, LockOwner, LockTable, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

BYTES = 12
"""The last one stands for all bytes from there to the end."""

OWNERS = [LockOwner(b"a", 1), LockOwner(b"a", 2), LockOwner(b"b", 1)]
FIDS = [object(), object()]

OWNER = st.sampled_from(OWNERS)
FID = st.sampled_from(FIDS)
PART = st.tuples(st.integers(0, BYTES - 1), st.integers(0, BYTES - 1)).map(
    lambda ends: range(min(ends), max(ends) + 1)
)


def last_byte(cell: int) -> int:
    return MAX_END if cell == BYTES - 1 else cell


def cells_of(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """The bytes of ranges, which must be sorted and apart."""
    found: list[int] = []
    for start, end in ranges:
        assert start <= end
        assert not found or found[-1] < start
        found += [cell for cell in range(BYTES) if start <= cell and last_byte(cell) <= end]
    return found


class Tables(RuleBasedStateMachine):
    """What fcntl(2) promises: what one takes and gives back is all that changes."""

    def __init__(self) -> None:
        super().__init__()
        self.table = LockTable()
        self.cells: list[dict[LockOwner, tuple[bool, object]]] = [{} for _ in range(BYTES)]

    @rule(owner=OWNER, part=PART, write=st.booleans(), fid=FID)
    def lock(self, owner: LockOwner, part: range, write: bool, fid: object) -> None:
        claim = Claim(owner, part[0], last_byte(part[-1]), write)
        blockers = {
            other
            for cell in part
            for other, (theirs, _) in self.cells[cell].items()
            if other != owner and (write or theirs)
        }
        found = list(self.table.in_the_way(claim))
        assert {held.owner for held in found} == blockers
        assert all(held.conflicts(claim) and claim.conflicts(held) for held in found)
        if blockers:
            return
        self.table.put(owner, self.table.with_lock(claim, fid))
        for cell in part:
            self.cells[cell][owner] = (write, fid)

    @rule(owner=OWNER, part=PART)
    def unlock(self, owner: LockOwner, part: range) -> None:
        start, end = part[0], last_byte(part[-1])
        given = self.table.ranges(owner, start, end)
        assert cells_of(given) == [cell for cell in part if owner in self.cells[cell]]
        self.table.put(owner, self.table.without(owner, start, end))
        before = self._held()
        for cell in part:
            self.cells[cell].pop(owner, None)
        assert set(cells_of(self.table.free_in(given))) == before - self._held()

    @rule(fid=FID)
    def clunk(self, fid: object) -> None:
        given = []
        for owner, spans in list(self.table.taken_through(fid)):
            given += [span[:2] for span in self.table.spans(owner) if span.through is fid]
            self.table.put(owner, spans)
        before = self._held()
        for cell in self.cells:
            for owner in [owner for owner, held in cell.items() if held[1] is fid]:
                del cell[owner]
        assert set(cells_of(self.table.free_in(given))) == before - self._held()

    @invariant()
    def agree(self) -> None:
        for owner in OWNERS:
            spans = self.table.spans(owner)
            assert not any(one.joins(two) for one, two in pairwise(spans))
            found = {cell: span[2:] for span in spans for cell in cells_of([span[:2]])}
            assert found == {
                number: cell[owner] for number, cell in enumerate(self.cells) if owner in cell
            }
            cells_of(span[:2] for span in spans)
        assert bool(self.table) == bool(self._held())

    def _held(self) -> set[int]:
        return {number for number, cell in enumerate(self.cells) if cell}


TestTables = Tables.TestCase


def test_what_is_asked_for_twice_is_held_once() -> None:
    table, fid = LockTable(), FIDS[0]
    for start, end in ((0, 9), (10, 19), (5, 14), (20, MAX_END)):
        claim = Claim(OWNERS[0], start, end, write=True)
        table.put(OWNERS[0], table.with_lock(claim, fid))
    assert table.spans(OWNERS[0]) == [Span(0, MAX_END, write=True, through=fid)]
