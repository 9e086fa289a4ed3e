"""A guest that changes what it shares between a worker's death and the next one's birth."""

from __future__ import annotations

import os
import select
import signal
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backend.worker.control import Failed, Ready
from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import NOFID, Fid, Tag
from protocol.xenpv.layout import IN_CONS, IN_PROD, OUT_CONS, OUT_PROD
from tests.backend.journal.conftest import served
from tests.end_to_end.lives import kill_worker, worker_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backend.journal.conftest import Served

TAG = Tag(1)
ROOT = Fid(0)


def mount(guest: Served) -> None:
    guest.ask(m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"))
    guest.ask(m.Tattach(TAG, ROOT, NOFID, b"", b"", 0))


def mkdir(name: bytes) -> m.Tmkdir:
    return m.Tmkdir(TAG, ROOT, name, 0o755, 0)


@contextmanager
def between_two_lives(guest: Served) -> Iterator[None]:
    """The body runs when a worker is dead and no other is born."""
    keeper = guest.process.pid
    os.kill(keeper, signal.SIGSTOP)
    try:
        assert kill_worker(keeper)
        yield
    finally:
        os.kill(keeper, signal.SIGCONT)


def end(guest: Served) -> str:
    """Why the device is given up."""
    assert guest.process.wait(30) == 0
    while isinstance(message := guest.channel.receive(), Ready):
        pass
    assert isinstance(message, Failed)
    return message.reason


@pytest.mark.parametrize(
    ("word", "value"), [(OUT_PROD, 0x1000_0000), (IN_CONS, 0x1000_0000), (OUT_PROD, 0)]
)
def test_an_impossible_index_ends_the_device(export: Path, word: int, value: int) -> None:
    with served(export, "none") as guest:
        mount(guest)
        with between_two_lives(guest):
            guest.rings[0].words[word] = value
        if word == IN_CONS:  # which is looked at where there is something to say
            guest.put(mkdir(b"d"), 0)
        guest.events.notify(guest.rings[0].port)
        assert "do not fit a ring" in end(guest)


def test_what_the_guest_makes_of_our_indices_does_not_matter(export: Path) -> None:
    with served(export, "none") as guest:
        mount(guest)
        with between_two_lives(guest):
            guest.rings[0].words[OUT_CONS] = 0x1234_5678
            guest.rings[0].words[IN_PROD] = 0x1234_5678
        # The next worker says where it really is; until then this guest has itself to blame.
        while guest.rings[0].words[IN_PROD] == 0x1234_5678:
            pass
        assert isinstance(guest.ask(mkdir(b"d"))[0], m.Rmkdir)


def test_another_order_and_other_pages_are_not_looked_at(export: Path) -> None:
    with served(export, "none") as guest:
        mount(guest)
        with between_two_lives(guest):
            struct.pack_into("<I", guest.rings[0].page.memory, 128, 9)
            guest.rings[0].page.memory[132:1000] = os.urandom(868)
        assert isinstance(guest.ask(mkdir(b"d"))[0], m.Rmkdir)


@pytest.mark.parametrize("step", range(1, 5), ids=["begun", "done", "answered", "written"])
def test_a_request_that_another_has_taken_the_place_of(export: Path, step: int) -> None:
    """What a worker had begun is not taken for what is asked now."""
    first, second = encode(mkdir(b"d")), encode(m.Tunlinkat(TAG, ROOT, b"older", 0))
    assert len(first) == len(second)
    (export / "older").touch()
    with served(export, "none") as guest:
        mount(guest)
        keeper, ring = guest.process.pid, guest.rings[0]
        start = len(ring.data.memory) // 2 + (ring.requests.index & ring.requests.size - 1)
        worker = os.pidfd_open(worker_of(keeper))
        os.kill(keeper, signal.SIGSTOP)
        guest.words[1] = guest.words[0] + step
        guest.send(first)
        assert select.select([worker], [], [], 30)[0], "no worker ended"
        os.close(worker)
        ring.data.memory[start : start + len(second)] = second
        os.kill(keeper, signal.SIGCONT)
        assert guest.answer(0) == m.Runlinkat(TAG)
        assert not (export / "older").exists()
        assert (export / "d").exists() == (step > 1)
