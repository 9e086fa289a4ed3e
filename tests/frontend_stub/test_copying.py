"""Files with a window of requests in flight: against diod, and a server that gives too little."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import socket
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from frontend_stub.client import Client
from frontend_stub.file import File
from frontend_stub.read_ahead import read_in_order, read_into, read_to_file
from frontend_stub.socket_transport import SocketTransport
from frontend_stub.write_behind import cut, pieces_of, write_pieces
from protocol.ninep.codec import decode
from protocol.ninep.ids import Fid
from protocol.ninep.messages import (
    Message,
    Qid,
    Rclunk,
    Rflush,
    Rlerror,
    Rread,
    Rwrite,
    Tclunk,
    Tflush,
    Tread,
    Twrite,
)
from tests.frontend_stub.peer import Peer, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from frontend_stub.share import Share

MSIZE = 4096
PIECE = MSIZE - 24


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


SIZES = (0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 20 * PIECE + 17)


@pytest.mark.parametrize("window", [1, 3, 8])
def test_round_trips_at_every_edge(
    connect_diod: Callable[..., Share], tree: Path, tmp_path: Path, window: int
) -> None:
    share = connect_diod(msize=MSIZE)
    for size in SIZES:
        data = content(size)
        with share.open("file", os.O_RDWR | os.O_CREAT | os.O_TRUNC) as file:
            assert file.max_io == PIECE
            assert file.pwrite(data, 0, window) == size
            assert (tree / "file").read_bytes() == data
            assert file.pread(size + 10, 0) == data
            with closing(read_in_order(file, size, window)) as pieces:
                assert b"".join(map(bytes, pieces)) == data
            buffer = bytearray(size + 5)
            assert read_into(file, memoryview(buffer), 0, window) == size
            assert buffer == data + bytes(5)
            local = os.open(tmp_path / "local", os.O_RDWR | os.O_CREAT)
            steps: list[int] = []
            assert read_to_file(file, local, size, window, steps.append) == size
            assert sum(steps) == size
            os.close(local)
            assert (tmp_path / "local").read_bytes() == data
            assert share.client.in_flight == 0


def test_reading_from_the_middle(connect_diod: Callable[..., Share], tree: Path) -> None:
    data = content(10 * PIECE)
    (tree / "file").write_bytes(data)
    with connect_diod(msize=MSIZE).open("file") as file:
        for offset, count in [(1, 3 * PIECE), (PIECE * 9 + 5, PIECE), (len(data), 1)]:
            assert file.pread(count, offset) == data[offset : offset + count]


@pytest.mark.parametrize("expected", [0, 1, PIECE, 3 * PIECE + 1, 100 * PIECE])
def test_an_expected_size_that_is_wrong(
    connect_diod: Callable[..., Share], tree: Path, tmp_path: Path, expected: int
) -> None:
    data = content(7 * PIECE + 9)
    (tree / "file").write_bytes(data)
    share = connect_diod(msize=MSIZE)
    with share.open("file") as file:
        with closing(read_in_order(file, expected, 4)) as pieces:
            assert b"".join(map(bytes, pieces)) == data
        local = os.open(tmp_path / "local", os.O_RDWR | os.O_CREAT)
        assert read_to_file(file, local, expected, 4) == len(data)
        assert os.fstat(local).st_size == len(data)
        os.close(local)
    assert share.client.in_flight == 0


def test_a_reader_that_stops_early_leaves_nothing_in_flight(
    connect_diod: Callable[..., Share], tree: Path
) -> None:
    (tree / "file").write_bytes(content(100 * PIECE))
    share = connect_diod(msize=MSIZE)
    with share.open("file") as file:
        with closing(read_in_order(file, 100 * PIECE, 8)) as pieces:
            next(pieces)
        assert share.client.in_flight == 0
        assert file.pread(1, 0) == content(100 * PIECE)[:1]


def test_data_from_a_slow_pipe_are_gathered_into_full_pieces() -> None:
    data = content(5 * 1000 + 123)
    reader, writer = os.pipe()

    def feed() -> None:
        rest = memoryview(data)
        step = 1
        while rest:
            rest = rest[os.write(writer, rest[:step]) :]
            step = step * 2 % 997 + 1
        os.close(writer)

    feeder = threading.Thread(target=feed)
    feeder.start()
    pieces = [bytes(piece) for piece in pieces_of(reader, 1000, 2)]
    feeder.join()
    os.close(reader)
    assert [len(piece) for piece in pieces] == [1000] * 5 + [123]
    assert b"".join(map(bytes, pieces)) == data


def test_an_empty_source_has_no_pieces() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    assert list(pieces_of(null, 1000)) == []
    os.close(null)


def test_pieces_stay_valid_for_a_window(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(content(10_000))
    descriptor = os.open(path, os.O_RDONLY)
    window = 3
    alive: list[tuple[memoryview, bytes]] = []
    for piece in pieces_of(descriptor, 1000, window):
        alive = [*alive[-window:], (piece, bytes(piece))]
        assert all(bytes(view) == then for view, then in alive)
    os.close(descriptor)


def test_cut() -> None:
    assert [bytes(part) for part in cut(memoryview(b"abcdefg"), 3)] == [b"abc", b"def", b"g"]
    assert list(cut(memoryview(b""), 3)) == []


class Stingy:
    """A server of one file that gives and takes at most ``most`` bytes for each request."""

    def __init__(self, data: bytes, most: int) -> None:
        self.data = bytearray(data)
        self.most = most
        self.error_at: int | None = None
        self.flushed = 0

    def play(self, peer: Peer) -> None:
        peer.greet()
        while True:
            try:
                frame = peer.receive_frame()
            except EOFError:
                return
            request = decode(frame, len(frame))
            peer.send(*self._answer(request, frame[23:]))

    def _answer(self, request: Message, payload: bytes) -> tuple[Message, bytes]:
        match request:
            case Tread(tag, _, offset, count) | Twrite(tag, _, offset, count) if (
                self.error_at is not None and offset >= self.error_at
            ):
                return Rlerror(tag, errno.EIO), b""
            case Tread(tag, _, offset, count):
                data = bytes(self.data[offset : offset + min(count, self.most)])
                return Rread(tag, len(data)), data
            case Twrite(tag, _, offset, count):
                count = min(count, self.most)
                self.data.extend(bytes(max(0, offset - len(self.data))))
                self.data[offset : offset + count] = payload[:count]
                return Rwrite(tag, count), b""
            case Tflush(tag, _):
                self.flushed += 1
                return Rflush(tag), b""
            case Tclunk(tag, _):
                return Rclunk(tag), b""
        raise AssertionError(request)


@contextmanager
def served(server: Stingy) -> Iterator[File]:
    ours, theirs = socket.socketpair()
    with (
        theirs,
        Script(Peer(theirs), server.play),
        Client.connect(SocketTransport(ours, "stingy"), MSIZE) as client,
        File(client, Fid(client.fids.take()), "file", Qid(0, 0, 0), 0) as file,
    ):
        yield file


@pytest.mark.parametrize("most", [1000, PIECE - 1, 1])
def test_short_reads_are_completed_in_place(most: int) -> None:
    data = content(3 * PIECE + 5 if most > 1 else 50)
    with served(Stingy(data, most)) as file:
        with closing(read_in_order(file, len(data), 4)) as pieces:
            assert b"".join(map(bytes, pieces)) == data
        assert file.pread(len(data) + 1, 0) == data


@pytest.mark.parametrize("most", [1000, PIECE - 1, 1])
def test_short_writes_are_completed(most: int) -> None:
    data = content(3 * PIECE + 5 if most > 1 else 50)
    server = Stingy(b"", most)
    steps: list[int] = []
    with served(server) as file:
        assert write_pieces(file, cut(memoryview(data), PIECE), 0, 4, steps.append) == len(data)
    assert hashlib.sha256(server.data).digest() == hashlib.sha256(data).digest()
    assert sum(steps) == len(data)


def test_a_server_that_writes_nothing_is_an_error_not_a_loop() -> None:
    with served(Stingy(b"", 0)) as file, pytest.raises(OSError, match="wrote 0 of 3") as caught:
        file.pwrite(b"abc", 0)
    assert caught.value.errno == errno.EIO
    assert caught.value.filename == "file"


def test_an_error_in_the_middle_flushes_the_rest() -> None:
    server = Stingy(content(20 * PIECE), PIECE)
    server.error_at = 4 * PIECE
    with served(server) as file:
        with pytest.raises(OSError, match="Input/output") as caught:
            file.pread(20 * PIECE, 0)
        assert caught.value.filename == "file"
        assert file.client.in_flight == 0
        with pytest.raises(OSError, match="Input/output"):
            file.pwrite(content(20 * PIECE), 0)
        assert file.client.in_flight == 0
        assert file.pread(10, 0) == content(20 * PIECE)[:10]


def test_a_local_disk_that_is_full_ends_the_copy(
    connect_diod: Callable[..., Share], tree: Path
) -> None:
    (tree / "file").write_bytes(content(10 * PIECE))
    share = connect_diod(msize=MSIZE)
    full = os.open("/dev/full", os.O_WRONLY)
    with share.open("file") as file:
        with pytest.raises(OSError, match="No space left") as caught:
            read_to_file(file, full, 10 * PIECE, 4)
        assert caught.value.errno == errno.ENOSPC
        assert share.client.in_flight == 0
        assert len(file.pread(PIECE, 0)) == PIECE
    os.close(full)
