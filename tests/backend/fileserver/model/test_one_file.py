"""One file under random writes, truncations and reads, beside the same bytes in memory (as fsx)."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.flags import DOTL_RDWR
from tests.backend.fileserver.client import Client

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.ninep.ids import Fid

FILE_BYTES = 256 * 1024
MAX_IO = 16 * 1024


class OneFile:
    """A file that several fids, of two clients, have open; ``content`` is what it must hold."""

    def __init__(self, export: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.path = export / "file"
        self.path.touch()
        self.clients = [Client(str(export)) for _ in range(2)]
        self.content = bytearray()
        self.fids: list[tuple[Client, Fid]] = []
        for client in self.clients:
            client.mount()
            self.fids += [(client, client.open(b"file", flags=DOTL_RDWR)) for _ in range(2)]

    def step(self) -> None:
        self.random.choice(
            (self.write, self.write, self.read, self.read, self.truncate, self.hole, self.reopen)
        )()

    def pick(self) -> tuple[Client, Fid, int, int]:
        """Who does it, and where: an offset and a length."""
        client, fid = self.random.choice(self.fids)
        return client, fid, self.random.randrange(FILE_BYTES), self.random.randint(0, MAX_IO)

    def put(self, offset: int, data: bytes) -> None:
        if data and len(self.content) < offset:
            self.content += bytes(offset - len(self.content))
        self.content[offset : offset + len(data)] = data

    def write(self) -> None:
        client, fid, offset, length = self.pick()
        data = self.random.randbytes(length)
        assert client.write(fid, data, offset, split=length // 3) == length
        if length:
            self.put(offset, data)

    def read(self) -> None:
        client, fid, offset, length = self.pick()
        found = client.read(fid, length, offset, split=length // 2)
        assert found == self.content[offset : offset + length]

    def truncate(self) -> None:
        client, fid, size, _length = self.pick()
        client.truncate(fid, size)
        if size <= len(self.content):
            del self.content[size:]
        else:
            self.content += bytes(size - len(self.content))

    def hole(self) -> None:
        """Cut off, then write far behind the end: what lies between reads as zeros."""
        client, fid, offset, length = self.pick()
        size = self.random.randint(0, len(self.content))
        client.truncate(fid, size)
        del self.content[size:]
        data = self.random.randbytes(length + 1)
        assert client.write(fid, data, size + offset // 2) == len(data)
        self.put(size + offset // 2, data)

    def reopen(self) -> None:
        number = self.random.randrange(len(self.fids))
        client, fid = self.fids[number]
        client.clunk(fid)
        self.fids[number] = (client, client.open(b"file", flags=DOTL_RDWR))

    def compare(self) -> None:
        assert self.path.read_bytes() == self.content
        for client, fid in self.fids:
            assert client.getattr(fid).size == len(self.content)

    def close(self) -> None:
        for client in self.clients:
            client.close()


def exercise(export: Path, seed: int, steps: int) -> None:
    one = OneFile(export, seed)
    for number in range(steps):
        one.step()
        if number % 500 == 0:
            one.compare()
    one.compare()
    one.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_one_file(export: Path, seed: int) -> None:
    exercise(export, seed, 3_000)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_one_file_100_000_operations(export: Path) -> None:
    exercise(export, 3, 100_000)


def test_holes_stay_holes(export: Path) -> None:
    client = Client(str(export))
    client.mount()
    fid = client.create(b"sparse", data=b"x")
    client.write(fid, b"end", 1 << 40)
    assert client.getattr(fid).size == (1 << 40) + 3
    assert client.getattr(fid).blocks * 512 <= 64 * 1024
    client.truncate(fid, 1 << 41)
    assert os.stat(export / "sparse").st_blocks * 512 <= 64 * 1024
    client.clunk(fid)
    client.close()
