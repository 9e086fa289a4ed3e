"""What a write would add to a file on disk is found before it is written."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.fileserver.allocation import growth, holes, seek

from .client import refused
from .quotas import RAM, needs_ram

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 4096

pieces = st.lists(st.tuples(st.integers(0, 60_000), st.integers(1, 9_000)), max_size=5)


@pytest.fixture
def fd() -> Iterator[int]:
    fd = os.open(RAM, os.O_RDWR | os.O_TMPFILE, 0o600)
    yield fd
    os.close(fd)


@needs_ram
@settings(deadline=None)
@given(pieces, st.integers(0, 70_000), st.integers(0, 70_000))
def test_growth_is_what_the_file_grows_by(
    written: list[tuple[int, int]], start: int, length: int
) -> None:
    with open(RAM, opener=lambda path, _: os.open(path, os.O_RDWR | os.O_TMPFILE, 0o600)) as file:
        fd = file.fileno()
        for offset, count in written:
            os.pwrite(fd, bytes(count), offset)
        before = os.fstat(fd).st_blocks
        expected = growth(fd, start, start + length)
        os.pwrite(fd, bytes(length), start)
        assert (os.fstat(fd).st_blocks - before) * 512 == expected


@needs_ram
def test_holes_are_whole_blocks_within_the_range(fd: int) -> None:
    os.pwrite(fd, b"x", 2 * BLOCK)
    os.ftruncate(fd, 10 * BLOCK)
    assert list(holes(fd, 1, 4 * BLOCK + 1)) == [(0, 2 * BLOCK), (3 * BLOCK, 5 * BLOCK)]
    assert list(holes(fd, 2 * BLOCK, 3 * BLOCK)) == []


def test_what_cannot_be_looked_into_is_an_error(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR)
    try:
        with refused(errno.ESPIPE):
            seek(fd, 0, os.SEEK_HOLE, 0)
    finally:
        os.close(fd)
