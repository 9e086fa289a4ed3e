"""A table of inodes holds what was put into it, however its places collide."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backend.fileserver.inode_table import BLOCKS, HOLDERS, OPENERS, WORDS, InodeTable

SIZE = 16

operations = st.lists(
    st.tuples(st.booleans(), st.integers(1, 30), st.integers(1, (1 << 63) - 1)), max_size=60
)


def table(seed: int) -> InodeTable:
    return InodeTable(memoryview(bytearray(8 * WORDS * SIZE)).cast("Q"), seed)


@given(operations, st.sampled_from([1, 1 << 40 | 1, 0x9E37_79B9_7F4A_7C15]))
def test_a_table_is_a_dictionary(steps: list[tuple[bool, int, int]], seed: int) -> None:
    tested, model = table(seed), dict[int, int]()
    for insert, key, value in steps:
        at = tested.place(key)
        if insert and len(model) < SIZE - 1:
            if key not in model:
                tested.insert(at, key, value, value + 1, value + 2)
                model[key] = value
        elif key in model:
            tested.remove(at)
            del model[key]
        assert {entry[0]: entry[1:] for entry in tested.entries()} == {
            key: (value, value + 1, value + 2) for key, value in model.items()
        }
        for known, blocks in model.items():
            at = tested.place(known)
            entry = tested.words[at : at + WORDS].tolist()
            assert (entry[0], entry[BLOCKS]) == (known, blocks)
            assert (entry[HOLDERS], entry[OPENERS]) == (blocks + 1, blocks + 2)


def test_merging_takes_each_entry_once() -> None:
    torn = table(1)
    for key in (5, 6):
        torn.insert(torn.place(key), key, 8, 1, 0)
    # As if somebody had been killed between copying an entry and erasing the old one.
    torn.insert(10 * WORDS, 5, 8, 1, 0)
    whole = table(7)
    assert whole.merge(torn) == 2
    assert sorted(whole.entries()) == [(5, 8, 1, 0), (6, 8, 1, 0)]
