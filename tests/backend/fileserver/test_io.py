"""Tread and Twrite: bytes in, bytes out, whole counts, and what a wild offset gets."""

from __future__ import annotations

import errno
import os
import random
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.limits import Slots
from backend.fileserver.local_files import LocalFile
from protocol.ninep.flags import DOTL_APPEND, DOTL_RDWR, DOTL_WRONLY
from protocol.ninep.ids import Fid

from .client import Client, outcome, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WILD = [1 << 63, (1 << 63) + 5, (1 << 64) - 1]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A write past ``size`` is cut short there, and the next one fails: as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def local_file(path: str) -> Iterator[LocalFile]:
    slots = Slots("descriptors", 1)
    slots.take()
    file = LocalFile(os.open(path, os.O_RDONLY), slots, writable=False)
    yield file
    file.close()


def test_what_is_written_is_read_wherever_the_buffers_are_cut(client: Client, export: Path) -> None:
    fid = client.create(b"file")
    data = random.Random(1).randbytes(10_000)
    for split in (0, 1, 4096, 9999):
        assert client.write(fid, data, 5, split=split) == len(data)
        assert client.read(fid, len(data), 5, split=split) == data
    assert (export / "file").read_bytes() == bytes(5) + data


def test_reads_end_at_the_end(client: Client) -> None:
    fid = client.create(b"file", data=b"0123456789")
    assert client.read(fid, 100) == b"0123456789"
    assert client.read(fid, 100, 4, split=50) == b"456789"
    assert client.read(fid, 100, 7, split=3) == b"789"
    assert client.read(fid, 100, 10) == b""
    assert client.read(fid, 100, 1 << 40) == b""
    assert client.read(fid, 100, (1 << 63) - 101) == b""
    assert client.read(fid, 0) == b""
    assert client.write(fid, b"", 1 << 40) == 0
    assert client.getattr(fid).size == 10


@pytest.mark.parametrize("offset", WILD)
def test_offsets_that_no_file_has(client: Client, offset: int) -> None:
    fid = client.create(b"file")
    with refused(errno.EINVAL):
        client.read(fid, 10, offset)
    with refused(errno.EFBIG):
        client.write(fid, b"x", offset)
    assert client.getattr(fid).size == 0


@pytest.mark.parametrize("offset", [(1 << 63) - 1, (1 << 63) - 5])
def test_offsets_at_the_very_edge_are_the_kernels_to_refuse(client: Client, offset: int) -> None:
    fid = client.create(b"file")
    refusals = (errno.EINVAL, errno.EOVERFLOW, errno.EFBIG)
    assert outcome(lambda: client.read(fid, 10, offset), *refusals)[0]
    assert outcome(lambda: client.write(fid, bytes(10), offset), *refusals)[0]


def test_fids_that_are_not_open_or_not_known(client: Client) -> None:
    client.clunk(client.create(b"file", data=b"x"))
    for fid in (client.walk(b"file"), client.walk(), Fid(4711)):
        with refused(errno.EBADF):
            client.read(fid, 1)
        with refused(errno.EBADF):
            client.write(fid, b"x")


def test_appending_ignores_the_offset_and_never_overwrites(client: Client, export: Path) -> None:
    first = client.create(b"log", flags=DOTL_WRONLY | DOTL_APPEND)
    second = client.open(b"log", flags=DOTL_RDWR | DOTL_APPEND)
    size = 0
    for number in range(20):
        line = b"line %d\n" % number
        # Each writer believes the file to end where it did before the other one wrote.
        assert client.write(second if number % 2 else first, line, size) == len(line)
        size = client.getattr(first).size if number % 3 else size
    assert (export / "log").read_bytes() == b"".join(b"line %d\n" % n for n in range(20))


def test_holes_stay_holes(client: Client) -> None:
    fid = client.create(b"sparse")
    client.write(fid, b"end", 1 << 32)
    attributes = client.getattr(fid)
    assert attributes.size == (1 << 32) + 3
    assert attributes.blocks * 512 < 1 << 20
    assert client.read(fid, 10, (1 << 32) - 5) == bytes(5) + b"end"


@pytest.mark.parametrize("split", [0, 500, 3000])
def test_a_write_that_fails_halfway_is_an_error(client: Client, export: Path, split: int) -> None:
    """A part must not be told: Linux 6.12 puts the rest in its place."""
    fid = client.create(b"file")
    with file_size_limit(2000):
        with refused(errno.EFBIG):
            client.write(fid, bytes(5000), 1000, split=split)
        with refused(errno.EFBIG):
            client.write(fid, bytes(4000), 2000, split=split)
    assert (export / "file").stat().st_size == 2000
    assert client.write(fid, bytes(4000), 2000) == 4000


def test_short_reads_of_the_kernel_are_made_whole() -> None:
    # A file that the kernel generates comes in pieces; a regular file may too, on a network.
    with local_file("/proc/kallsyms") as file:
        data = bytearray(256 * 1024)
        view = memoryview(data)
        whole = file.read([view[:100_000], view[100_000:]], 0)
        assert whole == len(data)
        assert os.preadv(file.fileno(), [view], 0) < whole
    lines = bytes(data).split(b"\n")[:-1]
    assert all(len(line.split()) >= 3 for line in lines)


def test_an_error_after_some_bytes_were_read_waits_for_the_next_read() -> None:
    with open("/proc/self/maps", encoding="ascii") as maps:
        ranges = [line.split()[0].split("-") for line in maps]
    starts = {int(start, 16) for start, _end in ranges}
    end = next(end for _start, text in ranges if (end := int(text, 16)) not in starts)
    with local_file("/proc/self/mem") as file:  # readable up to there, EIO behind it
        data = memoryview(bytearray(8192))
        assert file.read([data], end - 4096) == 4096
        with refused(errno.EIO):
            file.read([data], end)
