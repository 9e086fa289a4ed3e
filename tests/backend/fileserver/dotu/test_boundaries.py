"""Boundaries of entries: none that is remembered is wrong, and the newest are all remembered."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from backend.fileserver.dotu.boundaries import MAX_MARKS, Boundaries


def read(boundaries: Boundaries, lengths: list[int], start: int = 0, first: int = 0) -> list[int]:
    """Entries of these lengths, whose cookies count up from ``first``; their ends."""
    ends = []
    for number, length in enumerate(lengths, first):
        boundaries.note(start, start + length, number + 1)
        start += length
        ends.append(start)
    return ends


def test_the_beginning_is_one() -> None:
    boundaries = Boundaries()
    assert boundaries.furthest == 0
    assert boundaries.before(0) == boundaries.before(99) == (0, 0)


def test_each_entrys_end_is_one() -> None:
    boundaries = Boundaries()
    ends = read(boundaries, [70, 80, 90])
    assert ends == [70, 150, 240]
    assert [boundaries.before(end) for end in ends] == [(70, 1), (150, 2), (240, 3)]
    assert boundaries.before(149) == (70, 1)
    assert boundaries.furthest == 240


def test_reading_the_same_again_changes_nothing() -> None:
    boundaries = Boundaries()
    read(boundaries, [70, 80, 90])
    read(boundaries, [70, 80])
    assert boundaries.furthest == 240
    assert len(boundaries) == 4


def test_an_entry_that_is_gone_ends_what_was_known_after_it() -> None:
    boundaries = Boundaries()
    read(boundaries, [70, 70, 70])
    boundaries.note(0, 70, 2)  # as long as the first, but it is the second
    assert boundaries.furthest == 70
    assert boundaries.before(70) == (70, 2)


def test_an_entry_of_another_length_does_too() -> None:
    boundaries = Boundaries()
    read(boundaries, [70, 70, 70])
    boundaries.note(70, 150, 2)
    assert boundaries.furthest == 150
    assert boundaries.before(140) == (70, 1)


@settings(deadline=None, max_examples=50)
@given(
    lengths=st.lists(st.integers(62, 330), min_size=1, max_size=30),
    repeats=st.integers(1, 1500),
)
def test_many_are_thinned_but_the_newest_stay(lengths: list[int], repeats: int) -> None:
    boundaries = Boundaries()
    ends = read(boundaries, lengths * repeats)
    cookies = {end: number for number, end in enumerate(ends, 1)} | {0: 0}
    assert len(boundaries) <= MAX_MARKS
    assert boundaries.furthest == ends[-1]
    for end in ends[-MAX_MARKS // 2 :]:
        assert boundaries.before(end) == (end, cookies[end])
    farthest_apart = 16 * len(ends) // MAX_MARKS + 4
    for number, end in enumerate(ends[: -MAX_MARKS // 2], 1):
        at, cookie = boundaries.before(end)
        assert cookies[at] == cookie
        assert number - cookie <= farthest_apart


def test_thinned_ones_are_found_to_be_out_of_date() -> None:
    boundaries = Boundaries()
    ends = read(boundaries, [70] * (3 * MAX_MARKS))
    read(boundaries, [70] * 50)
    assert boundaries.furthest == ends[-1]
    read(boundaries, [70] * 50, first=1)  # the first entry is gone
    assert boundaries.furthest == 70 * 50
    again = read(boundaries, [70] * MAX_MARKS, start=70 * 50, first=51)
    assert boundaries.before(again[-1]) == (again[-1], 51 + MAX_MARKS)
