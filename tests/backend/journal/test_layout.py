"""What is written by ``struct`` is what the layout says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backend.journal import layout

U64 = st.integers(0, (1 << 64) - 1)
U32 = st.integers(0, (1 << 32) - 1)
I32 = st.integers(-(1 << 31), (1 << 31) - 1)
U8 = st.integers(0, 255)
NAME = st.binary(min_size=layout.MAX_NAME, max_size=layout.MAX_NAME)


@given(
    st.builds(
        layout.Slot,
        U64,
        U64,
        U64,
        U64,
        U8,
        U8,
        U32,
        I32,
        I32,
        U32,
        U32,
        U64,
        NAME,
        U32,
        I32,
        U32,
        U32,
    )
)
def test_slots(slot: layout.Slot) -> None:
    found = layout.SLOT.parse(layout.SLOT_PACKING.pack(*slot))
    assert slot == tuple(found[name] for name in layout.Slot._fields)


def test_where_descriptors_stand_in_a_slot() -> None:
    slot = layout.Slot(1, 2, 3, 4, 5, 6, 7, 0x1111_1111, 0x2222_2222, 9, 10, 11, b"")
    slot = slot._replace(parent=0x3333_3333)
    packed = memoryview(layout.SLOT_PACKING.pack(*slot)).cast("I")
    assert packed[layout.NODE_AT // 4] == slot.node
    assert packed[layout.FILE_AT // 4] == slot.file
    assert packed[layout.PARENT_AT // 4] == slot.parent
    assert packed[layout.USER_AT // 4] == slot.user


@given(st.builds(layout.Begun, U64, U32, U32, U32, U32, U64, U64, U64))
def test_begun_requests(begun: layout.Begun) -> None:
    found = layout.BEGUN.parse(layout.BEGUN_PACKING.pack(*begun))
    assert begun == tuple(found[name] for name in layout.Begun._fields)


@given(U64, U32, U32, U32, st.lists(U32, min_size=32, max_size=32))
def test_commits(number: int, uncovered: int, dialect: int, msize: int, indices: list[int]) -> None:
    packing = layout.commit_packing(layout.MAX_LANES)
    found = layout.COMMIT.parse(packing.pack(number, uncovered, dialect, msize, *indices))
    assert (found.number, found.uncovered, found.dialect, found.msize) == (
        *(number, uncovered, dialect, msize),
    )
    assert [index for pair in found.indices for index in (pair.consumed, pair.produced)] == indices


def test_places_of_what_is_stored_on_its_own() -> None:
    header = {"version": 1, "lanes": 2, "slots": 3, "control": 4, "outlives": 5}
    more = {"handing": 9, "committed": 6, "serving": 7, "used": 8}
    built = layout.HEADER.build({**header, **more})
    words, halves = memoryview(built).cast("Q"), memoryview(built).cast("I")
    assert words[layout.COMMITTED_WORD] == 6
    assert (halves[layout.CONTROL_HALF], halves[layout.OUTLIVES_HALF]) == (4, 5)
    assert halves[layout.HANDING_HALF] == 9
    assert (halves[layout.SERVING_HALF], halves[layout.USED_HALF]) == (7, 8)
    assert layout.BEGUN_AT % 8 == layout.SLOT_SIZE % 8 == 0
    assert layout.BEGUN_SIZE % 8 == 0
    assert layout.BEGUN_AT + layout.MAX_LANES * layout.BEGUN_SIZE <= layout.SLOTS_AT
