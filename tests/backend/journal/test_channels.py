"""Channels outlive the worker: no byte is lost or comes twice, and the client stays connected."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from backend.share import Commit, NamedChannel, NamedFile, Share
from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import Fid, Tag
from tests.backend.journal.conftest import served
from tests.backend.journal.every_point import compare, compare_short_lives, mount
from tests.backend.journal.test_hostile import between_two_lives
from tests.end_to_end.lives import kill_worker, worker_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from protocol.ninep.messages import Message
    from tests.backend.journal.conftest import Served
    from tests.backend.journal.every_point import Said

TAG = Tag(1)
ROOT, BOTH, READER, WRITER, SAVE = map(Fid, range(5))
SECONDS = 30


def state(export: Path) -> Share:
    save = NamedFile("save", str(export / "qemu-save"), writable=True)
    channel = NamedChannel("qmp", str(export.parent / "qmp"))
    return Share(files=(save,), channels=(channel,), commit=Commit.ATOMIC)


def opened(fid: Fid, flags: int) -> Iterator[Said]:
    yield m.Twalk(TAG, ROOT, fid, (b"qmp",)), b""
    yield m.Tlopen(TAG, fid, flags), b""


@contextmanager
def client(export: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(str(export.parent / "qmp"))
        yield connection


def received(connection: socket.socket, data: bytes) -> None:
    """This comes, and nothing else."""
    found = b""
    while len(found) < len(data):
        found += connection.recv(len(data) - len(found))
    assert found == data
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        connection.recv(1)
    connection.settimeout(SECONDS)


def talk(export: Path) -> Iterator[Said]:
    """What a relay to a monitor does: reads and writes, and a save meanwhile."""
    yield from mount()
    for round_ in range(2):
        with client(export) as dom0:
            yield from opened(BOTH, os.O_RDWR)
            dom0.sendall(b"hello " * 20)
            yield m.Tread(TAG, BOTH, 0, 50), b""
            yield m.Tread(TAG, BOTH, 50, 100), b""
            yield m.Tread(TAG, BOTH, 120, 100), b""  # asks on after a short one
            yield m.Twrite(TAG, BOTH, 0, 5), b"first"
            yield m.Twrite(TAG, BOTH, 0, 5), b"first"
            received(dom0, b"firstfirst")
            dom0.sendall(b"again")
            yield m.Tread(TAG, BOTH, 0, 3), b""
            yield m.Tread(TAG, BOTH, 3, 100), b""
            if round_:
                dom0.shutdown(socket.SHUT_WR)
                yield m.Tread(TAG, BOTH, 0, 100), b""
            yield m.Tclunk(TAG, BOTH), b""
            assert dom0.recv(1) == b""
    with client(export) as dom0:
        dom0.sendall(b"who is first")
        yield from opened(READER, os.O_RDONLY)
        yield from opened(WRITER, os.O_WRONLY)
        yield m.Tread(TAG, READER, 0, 100), b""
        yield m.Twrite(TAG, WRITER, 0, 5), b"hello"
        received(dom0, b"hello")
        yield m.Tclunk(TAG, READER), b""
        yield m.Twrite(TAG, WRITER, 0, 5), b"other"
        received(dom0, b"other")
    yield m.Twrite(TAG, WRITER, 0, 5), b"to nobody"[:5]
    yield m.Tclunk(TAG, WRITER), b""
    with client(export):
        yield from opened(READER, os.O_RDONLY)
        yield from opened(WRITER, os.O_WRONLY)
    yield m.Tread(TAG, READER, 0, 100), b""
    yield m.Tclunk(TAG, READER), b""
    # It is let go, and the next one served, although something of it is open.
    yield m.Twrite(TAG, WRITER, 0, 5), b"to nobody"[:5]
    with client(export) as dom0:
        dom0.sendall(b"next")
        yield from opened(READER, os.O_RDONLY)
        yield m.Tread(TAG, READER, 0, 100), b""
        yield m.Twrite(TAG, WRITER, 0, 5), b"to nobody"[:5]
        yield m.Tclunk(TAG, WRITER), b""
        yield m.Tclunk(TAG, READER), b""
    yield m.Twalk(TAG, ROOT, SAVE, ()), b""
    yield m.Tlcreate(TAG, SAVE, b"save", os.O_WRONLY, 0o600, 0), b""
    yield m.Twrite(TAG, SAVE, 0, 5), b"state"
    yield m.Tclunk(TAG, SAVE), b""


@pytest.mark.parametrize("walls", [pytest.param("none", marks=pytest.mark.long), "all"])
def test_a_worker_may_end_anywhere(export: Path, walls: str) -> None:
    compare(export, walls, partial(talk, export), state(export))


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_workers_may_end_one_after_the_other(export: Path, seed: int) -> None:
    compare_short_lives(export, "none", partial(talk, export), seed, state(export))


def ask(guest: Served, request: Message, data: bytes = b"") -> Message:
    reply, _ = guest.ask(request, data)
    assert not isinstance(reply, m.Rlerror), (request, reply)
    return reply


def say(guest: Served, conversation: Iterable[Said]) -> None:
    """Ask for all of it."""
    for request, _ in conversation:
        ask(guest, request)


def look(guest: Served) -> None:
    """What was put before has been looked at, and waits."""
    assert isinstance(ask(guest, m.Tgetattr(Tag(3), ROOT, 0)), m.Rgetattr)


def at_every_step(guest: Served, scene: Callable[[], None]) -> None:
    """Play it again and again, each time with a worker that ends at another step."""
    before = guest.words[0]
    scene()
    steps = guest.words[0] - before
    for step in range(1, steps + 1):
        guest.words[1] = guest.words[0] + step
        scene()
        assert guest.words[1] == 0, "no worker ended"


def waits(
    guest: Served, export: Path, meanwhile: Callable[[Served], object] = lambda _: None
) -> None:
    """An open, and reads that are answered, flushed, and left behind; each has to wait."""
    ask(guest, m.Twalk(TAG, ROOT, BOTH, (b"qmp",)))
    guest.put(m.Tlopen(Tag(2), BOTH, os.O_RDWR), 0)
    look(guest)
    meanwhile(guest)
    with client(export) as dom0:
        assert guest.answer(0)[:1] == (2,)
        guest.put(m.Tread(Tag(2), BOTH, 0, 100), 0)
        look(guest)
        meanwhile(guest)
        dom0.sendall(b"late")
        frame = guest.receive()
        assert frame.endswith(b"late")
        guest.put(m.Tread(Tag(2), BOTH, 0, 100), 0)
        look(guest)
        meanwhile(guest)
        assert isinstance(ask(guest, m.Tflush(Tag(4), Tag(2))), m.Rflush)
        dom0.sendall(b"kept")
        assert guest.ask(m.Tread(Tag(2), BOTH, 0, 100))[1] == b"kept"
        ask(guest, m.Twrite(Tag(2), BOTH, 0, 4), b"said")
        received(dom0, b"said")
        guest.put(m.Tread(Tag(2), BOTH, 0, 100), 0)
        look(guest)
        meanwhile(guest)
        guest.send(encode(m.Tclunk(Tag(5), BOTH)))
        answers = {guest.answer(0), guest.answer(0)}
        assert answers == {m.Rclunk(Tag(5)), m.Rlerror(Tag(2), errno.EBADF)}
        assert dom0.recv(1) == b""


def test_what_waits_goes_on_waiting(export: Path) -> None:
    with served(state(export), "none") as guest:
        say(guest, mount())
        at_every_step(guest, partial(waits, guest, export))


def piece(number: int) -> bytes:
    return (b"%07d\n" % number) * 500


def fill(guest: Served) -> tuple[bytes, bytes]:
    """Write until a write waits: what was said to be written, and that write."""
    said = b""
    for number in range(1000):
        guest.put(m.Twrite(Tag(2), BOTH, 0, len(piece(number))), 0, piece(number))
        guest.send(encode(m.Tgetattr(Tag(3), ROOT, 0)))
        answer = guest.answer(0)
        if answer.tag == 3:
            return said, piece(number)
        assert isinstance(answer, m.Rwrite)
        said += piece(number)[: answer.count]
        assert guest.answer(0).tag == 3
        if answer.count < len(piece(number)):
            guest.put(m.Twrite(Tag(2), BOTH, 0, 8), 0, b"1234567\n")
            look(guest)
            return said, b"1234567\n"
    raise AssertionError("a socket without end")


def test_writes_that_wait_are_sent_once(export: Path) -> None:
    with served(state(export), "none") as guest:
        say(guest, mount())
        step, ended = 0, False
        while not ended:
            step += 1
            with client(export) as dom0:
                say(guest, opened(BOTH, os.O_RDWR))
                said, last = fill(guest)
                guest.put(m.Twrite(Tag(6), BOTH, 0, 6), 0, b"behind")
                look(guest)
                guest.words[1] = guest.words[0] + step
                read = b""
                while len(read) < len(said):
                    read += dom0.recv(1 << 20)
                for tag, data in ((2, last), (6, b"behind")):
                    answer = guest.answer(0)
                    assert isinstance(answer, m.Rwrite)
                    assert answer.tag == tag
                    said += data[: answer.count]
                ask(guest, m.Tclunk(TAG, BOTH))
                while found := dom0.recv(1 << 20):
                    read += found
                assert read == said
            ended, guest.words[1] = guest.words[1] != 0, 0
        assert step > 8


def test_a_read_that_its_next_worker_answers_is_answered_once(export: Path) -> None:
    with served(state(export), "none") as guest:
        say(guest, mount())
        with client(export) as dom0:
            say(guest, opened(BOTH, os.O_RDWR))
            guest.put(m.Tread(Tag(2), BOTH, 0, 100), 0)
            look(guest)
            with between_two_lives(guest):
                dom0.sendall(b"meanwhile")
            assert guest.receive().endswith(b"meanwhile")
            while not kill_worker(guest.process.pid):
                pass  # one is being born
            look(guest)
            dom0.sendall(b"next")
            assert guest.ask(m.Tread(Tag(2), BOTH, 0, 100))[1] == b"next"


def test_a_client_in_the_queue_keeps_its_place(export: Path) -> None:
    with served(state(export), "none") as guest:
        say(guest, mount())
        with client(export) as first, client(export) as second:
            for dom0, word in ((first, b"one"), (second, b"two")):
                say(guest, opened(BOTH, os.O_RDWR))
                while not kill_worker(guest.process.pid):
                    pass  # one is being born
                dom0.sendall(word)
                assert guest.ask(m.Tread(TAG, BOTH, 0, 100))[1] == word
                ask(guest, m.Tclunk(TAG, BOTH))


def test_what_a_worker_has_answered_is_taken_once(export: Path) -> None:
    """It dies when the answer is true and nothing is taken, the next one with bytes looked at."""
    with served(state(export), "none") as guest:
        say(guest, mount())
        with client(export) as dom0:
            say(guest, opened(BOTH, os.O_RDWR))
            for steps, word in ((3, b"one"), (1, b"two")):
                dom0.sendall(word)
                guest.words[1] = guest.words[0] + steps
                assert guest.ask(m.Tread(TAG, BOTH, 0, 100))[1] == word
                assert guest.words[1] == 0, "no worker ended"


def test_a_client_that_no_open_has_got_yet_is_the_next(export: Path) -> None:
    """It was accepted for one that its worker died at, and that the guest has taken back."""
    opens, other = encode(m.Tlopen(TAG, BOTH, os.O_RDWR)), encode(m.Tfsync(TAG, BOTH, 0))
    assert len(opens) == len(other)
    with served(state(export), "none") as guest:
        say(guest, mount())
        ask(guest, m.Twalk(TAG, ROOT, BOTH, (b"qmp",)))
        keeper, ring = guest.process.pid, guest.rings[0]
        start = len(ring.data.memory) // 2 + (ring.requests.index & ring.requests.size - 1)
        with client(export) as dom0, client(export) as following:
            worker = os.pidfd_open(worker_of(keeper))
            os.kill(keeper, signal.SIGSTOP)
            guest.words[1] = guest.words[0] + 1
            guest.send(opens)
            assert select.select([worker], [], [], SECONDS)[0], "no worker ended"
            os.close(worker)
            ring.data.memory[start : start + len(other)] = other
            os.kill(keeper, signal.SIGCONT)
            assert isinstance(guest.answer(0), m.Rlerror)
            for _ in range(3):
                look(guest)
                while not kill_worker(keeper):
                    pass  # one is being born
            for connection, word in ((dom0, b"first"), (following, b"second")):
                connection.sendall(word)
                ask(guest, m.Tlopen(TAG, BOTH, os.O_RDWR))
                while not kill_worker(keeper):
                    pass  # one is being born
                assert guest.ask(m.Tread(TAG, BOTH, 0, 100))[1] == word
                ask(guest, m.Tclunk(TAG, BOTH))
                ask(guest, m.Twalk(TAG, ROOT, BOTH, (b"qmp",)))
