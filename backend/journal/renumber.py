"""The descriptors that a journal names: which they are, and how another table numbers them.

A keeper that hands over looks at its journal here.  What it takes for descriptors are numbers that
its workers have written, and no more than that: it shows them to nobody who could not have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.journal import layout
from backend.journal.layout import (
    PENDING,
    SLOT_PACKING,
    SLOT_SIZE,
    SLOTS_AT,
    WITH_FILE,
    WITH_NODE,
    Slot,
)
from backend.journal.pending_files import old_of
from backend.journal.restore import RestoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backend.journal.journal import Journal


def named_descriptors(journal: Journal) -> set[int]:
    """All that the last commit says are open."""
    return {journal.halves[half] for half in _named(journal)}


def renumber(journal: Journal, numbers: Mapping[int, int]) -> None:
    """Name each descriptor by its number in ``numbers`` instead.

    Raises ``RestoreError`` where one is not there.
    """
    halves = journal.halves
    for half in _named(journal):
        number = numbers.get(halves[half])
        if number is None:
            raise RestoreError(f"descriptor {halves[half]} was not handed over")
        halves[half] = number


def _named(journal: Journal) -> Iterator[int]:
    """Where descriptors stand, in halves of the journal: none that is -1."""
    number = journal.committed
    for index in range(min(journal.halves[layout.USED_HALF], journal.slots)):
        at = SLOTS_AT + index * SLOT_SIZE
        slot = Slot(*SLOT_PACKING.unpack_from(journal.memory, at))
        if not slot.holds(number):
            continue
        if slot.kind in WITH_NODE and slot.node >= 0:
            yield (at + layout.NODE_AT) // 4
        if slot.kind in WITH_FILE and slot.file >= 0:
            yield (at + layout.FILE_AT) // 4
        if slot.kind in WITH_FILE and slot.parent >= 0:
            yield (at + layout.PARENT_AT) // 4
        if slot.kind == PENDING and old_of(slot) >= 0:
            yield (at + layout.USER_AT) // 4
