"""Impossible rings after connecting: the device closes with a reason, its neighbour is served."""

from __future__ import annotations

import errno
import random
import threading
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.codec import decode_frame, encode
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import (
    Rgetattr,
    Rlerror,
    Tclunk,
    Tgetattr,
    Tread,
    Twalk,
    Twrite,
)
from protocol.xenpv.layout import IN_CONS, IN_PROD, OUT_CONS, OUT_PROD
from protocol.xenpv.xenbus import XenbusState

from .raw_frontend import ROOT

if TYPE_CHECKING:
    from tests.hostile.conftest import Neighbourhood

GETATTR = Tgetattr(Tag(3), ROOT, 0x17FF)
HALF = 4096


def closed_because(hood: Neighbourhood, guest) -> str:  # type: ignore[no-untyped-def]
    guest.await_state(XenbusState.CLOSING, XenbusState.CLOSED)
    assert hood.neighbour_is_served()
    error: str = guest.error()
    return error


@pytest.mark.parametrize("word", [OUT_PROD, IN_CONS])
@pytest.mark.parametrize("distance", [HALF + 1, 0x8000_0000, 0xFFFF_FFFF])
def test_an_index_out_of_range_after_connecting(
    hood: Neighbourhood, word: int, distance: int
) -> None:
    with hood.guest() as guest:
        guest.mount()
        # One below our own index is as far out of range as one above the ring's end.
        guest.send(encode(GETATTR))
        guest.receive()
        base = guest.words[0][OUT_CONS if word == OUT_PROD else IN_PROD]
        guest.words[0][word] = (base + (distance if word == OUT_PROD else -distance)) % (1 << 32)
        guest.notify()
        if word == IN_CONS:
            guest.send(encode(GETATTR))
        assert "do not fit a ring of 4096 bytes" in closed_because(hood, guest)


def test_an_index_out_of_range_before_connecting(hood: Neighbourhood) -> None:
    with hood.guest() as guest:
        guest.await_state(XenbusState.INIT_WAIT)
        guest.words[1][OUT_PROD] = 0xDEAD_BEEF
        guest.publish()
        assert "do not fit" in closed_because(hood, guest)


@pytest.mark.parametrize("size", [0, 6, HALF + 1, 0xFFFF_FFFF])
def test_a_size_that_hides_the_next_message(hood: Neighbourhood, size: int) -> None:
    with hood.guest() as guest:
        guest.mount()
        guest.send(size.to_bytes(4, "little") + b"\x18\x03\x00")
        assert f"a message of {size} bytes" in closed_because(hood, guest)


def test_it_may_come_back_after_an_impossible_ring(hood: Neighbourhood) -> None:
    with hood.guest() as guest:
        guest.mount()
        guest.send(bytes(7))
        closed_because(hood, guest)
    with hood.guest() as guest:
        guest.begin_anew().mount()
        assert isinstance(guest.call(GETATTR), Rgetattr)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x07\x00\x00\x00\xc8\x05\x00", errno.EPROTO),  # no such type
        (b"\x0b\x00\x00\x00\x18\x05\x00\x00\x00\x00\x00", errno.EPROTO),  # Tgetattr cut short
        (encode(Twalk(Tag(5), ROOT, ROOT, (b"a/b",))), None),
        (encode(Twalk(Tag(5), ROOT, ROOT, (b"a\0b",))), None),
        (encode(Twalk(Tag(5), ROOT, ROOT, (b"x" * 256,))), errno.ENAMETOOLONG),
        (encode(Twalk(Tag(5), Fid(77), Fid(78), ())), errno.EBADF),
        (encode(Tclunk(Tag(5), Fid(77))), errno.EBADF),
        (encode(Tread(Tag(5), ROOT, 0, 0xFFFF_FFFF)), errno.EBADF),
        (encode(Twrite(Tag(5), ROOT, 0, 3)) + b"abc", errno.EBADF),
        (b"\x1a\x00\x00\x00\x76\x05\x00" + bytes(12) + b"\x04\0\0\0abc", errno.EPROTO),
    ],
)
def test_a_bad_message_is_answered_and_the_next_served(
    hood: Neighbourhood, frame: bytes, code: int | None
) -> None:
    with hood.guest() as guest:
        guest.mount()
        guest.send(frame)
        reply = decode_frame(guest.receive())
        assert isinstance(reply, Rlerror)
        assert reply.tag == 5
        assert code is None or reply.ecode == code
        assert isinstance(guest.call(GETATTR), Rgetattr)
        assert isinstance(guest.call(GETATTR, ring=1), Rgetattr)


def test_events_without_end_hold_up_nobody(hood: Neighbourhood) -> None:
    with hood.guest() as guest:
        guest.mount()
        for _ in range(20_000):
            guest.notify(0)
            guest.notify(1)
        assert isinstance(guest.call(GETATTR), Rgetattr)
        assert hood.neighbour_is_served()


def test_a_guest_that_never_reads_its_replies_waits_alone(hood: Neighbourhood) -> None:
    with hood.guest() as guest:
        guest.mount()
        sent = 0
        frame = encode(GETATTR)
        while guest.rings[0].requests.free() >= len(frame) and sent < 300:
            guest.send(frame)
            sent += 1
        assert isinstance(guest.call(GETATTR, ring=1), Rgetattr)
        assert hood.neighbour_is_served()
        for _ in range(sent):  # and when it reads at last, all of them are there, whole
            assert isinstance(decode_frame(guest.receive()), Rgetattr)


def test_a_page_that_changes_while_it_is_read_breaks_its_own_device_at_most(
    hood: Neighbourhood,
) -> None:
    with hood.guest() as guest:
        guest.mount()
        memory = guest.rings[0].requests._data
        ready, stop = threading.Event(), threading.Event()

        def scribble() -> None:
            dice = random.Random(7)
            ready.set()
            while not stop.is_set():
                memory[dice.randrange(len(memory))] = dice.randrange(256)

        thread = threading.Thread(target=scribble)
        thread.start()
        try:
            ready.wait()
            for _ in range(2000):
                requests = guest.rings[0].requests
                if requests.free() < 64:
                    break
                guest.send(encode(GETATTR))
                guest.words[0][IN_CONS] = guest.words[0][IN_PROD]
        finally:
            stop.set()
            thread.join()
        assert hood.neighbour_is_served()
