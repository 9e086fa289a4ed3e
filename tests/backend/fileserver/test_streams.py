"""Which Tread goes on from a short read, and which is a new one."""

from __future__ import annotations

import pytest

from backend.fileserver.streams import AsksOn, ShortReads


@pytest.mark.parametrize(
    ("asks_on", "offset", "count", "expected"),
    [
        (AsksOn.ALWAYS, 110, 90, True),
        (AsksOn.ALWAYS, 110, 100, True),  # a buffer larger than one message
        (AsksOn.ALWAYS, 0, 90, False),
        (AsksOn.ALWAYS, 100, 100, False),
        (AsksOn.PERHAPS, 110, 90, True),
        (AsksOn.PERHAPS, 110, 99, True),
        (AsksOn.PERHAPS, 110, 100, False),  # perhaps a new read of the same size
        (AsksOn.PERHAPS, 110, 89, False),
        (AsksOn.PERHAPS, 100, 90, False),
    ],
)
def test_after_10_of_100_bytes_at_offset_100(
    asks_on: AsksOn, offset: int, count: int, expected: bool
) -> None:
    reads = ShortReads(asks_on)
    reads.answered(100, 100, 10)
    assert reads.goes_on(offset, count) is expected
    assert reads.goes_on(offset, count) is False  # whatever it was, there is one


@pytest.mark.parametrize("done", [0, 100])
def test_nothing_goes_on_from_the_end_or_a_whole_read(done: int) -> None:
    reads = ShortReads(AsksOn.ALWAYS)
    reads.answered(100, 100, done)
    assert not reads.goes_on(100 + done, 100)
