"""The rings from the frontend's side, on the embedded hypervisor, with a backend that may lie."""

from __future__ import annotations

import errno
import os
import random
from typing import TYPE_CHECKING

import pytest

from backend.worker.rings import bind_ring
from frontend_stub.ring_setup import FrontRing
from frontend_stub.ring_transport import RingTransport, max_msize
from protocol.ninep.codec import decode, encode
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import Message, Rclunk, Rread, Tclunk
from protocol.xenpv.ids import DOM0, Domid
from protocol.xenpv.layout import IN_PROD, OUT_CONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from backend.worker.rings import BoundRing
    from frontend_stub.transport import Slices
    from protocol.xenpv.ids import Evtchn

GUEST = Domid(5)
ORDER = 1
HALF = 4096
SECONDS = 20.0


class Quiet:
    """A device that stays connected until the test says otherwise."""

    name = "device"

    def __init__(self) -> None:
        self._fd = os.eventfd(0)
        self.closed = 0

    def fileno(self) -> int:
        return self._fd

    def leave(self) -> None:
        os.eventfd_write(self._fd, 1)

    def check(self) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "gone", self.name)

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        self.closed += 1


class Ends:
    """Both ends of ``count`` rings."""

    def __init__(self, hypervisor: EmbeddedHypervisor, count: int, order: int) -> None:
        self.hypervisor = hypervisor
        guest, dom0 = hypervisor.platform(GUEST), hypervisor.platform()
        sharer, self.front_events = guest.grant_sharer(), guest.event_channels()
        self.mapper, self.back_events = dom0.grant_mapper(), dom0.event_channels()
        self.front = [
            FrontRing(sharer, self.front_events, DOM0, order, f"ring {number}")
            for number in range(count)
        ]
        sharer.close()
        self.back: list[BoundRing] = [
            bind_ring(self.mapper, self.back_events, GUEST, number, ring.offer, max_order=9)
            for number, ring in enumerate(self.front)
        ]
        self.quiet()
        self.device = Quiet()
        self.transport = RingTransport(self.front, self.front_events, self.device)
        self.got: list[tuple[Message, bytes]] = []

    def quiet(self) -> set[Evtchn]:
        """The backend's pending ports, taken."""
        ports: set[Evtchn] = set()
        while (port := self.back_events.pending()) is not None:
            ports.add(port)
            self.back_events.unmask(port)
        return ports

    def deliver(self, frame: bytes, size: int, payload: Slices) -> None:
        self.got.append((decode(frame, size), b"".join(payload)))

    def reply(self, number: int, message: Message, payload: bytes = b"") -> None:
        data = encode(message, len(payload)) + payload
        replies = self.back[number].replies
        assert replies.free() >= len(data)
        replies.put(0, data)
        replies.advance(len(data))
        self.back_events.notify(self.back[number].port)

    def close(self) -> None:
        self.transport.close()
        for bound in self.back:
            for pages in bound.pages:
                pages.close()
        self.back_events.close()
        self.mapper.close()
        for ring in self.front:
            ring.close()
        self.front_events.close()


@pytest.fixture
def ends(hypervisor: EmbeddedHypervisor) -> Iterator[Ends]:
    both = Ends(hypervisor, 2, ORDER)
    yield both
    both.close()


def clunk(tag: int) -> bytes:
    return encode(Tclunk(Tag(tag), Fid(1)))


@pytest.mark.parametrize(
    ("half", "msize"),
    [(1 << 20, 512 << 10), (1 << 19, 256 << 10), (16384, 8192), (8192, 4096), (4096, 4096)],
)
def test_msize_is_half_of_a_rings_half(half: int, msize: int) -> None:
    assert max_msize(half) == msize


def test_a_tag_picks_its_ring_and_a_batch_is_one_event(ends: Ends) -> None:
    for tag in (0, 1, 2, 3, 4, 0xFFFF):
        assert ends.transport.try_send(tag, clunk(tag), ())
    assert ends.quiet() == set()
    assert [bound.requests.available() for bound in ends.back] == [3 * 11, 3 * 11]
    ends.transport.flush()
    assert ends.quiet() == {bound.port for bound in ends.back}
    ends.transport.flush()
    assert ends.quiet() == set()
    tags = [ends.back[1].requests.peek(11, at)[5:7] for at in (0, 11, 22)]
    assert tags == [b"\x01\0", b"\x03\0", b"\xff\xff"]


def test_payloads_cross_the_wrap_both_ways(ends: Ends) -> None:
    chance = random.Random(1)
    ring = ends.back[0]
    for number in range(300):
        out, back = (
            chance.randbytes(chance.randrange(3000)),
            chance.randbytes(chance.randrange(3000)),
        )
        cut = chance.randrange(len(out) + 1)
        frame = number.to_bytes(8, "little")
        assert ends.transport.try_send(0, frame, (out[:cut], memoryview(out)[cut:]))
        assert ring.requests.peek(8 + len(out)) == frame + out
        ring.requests.advance(8 + len(out))
        ends.reply(0, Rread(Tag(number), len(back)), back)
        assert ends.transport.receive(ends.deliver) == 1
        assert ends.got.pop() == (Rread(Tag(number), len(back)), back)


def test_no_room_means_nothing_is_taken(ends: Ends) -> None:
    transport, requests = ends.transport, ends.back[0].requests
    assert transport.try_send(0, clunk(0), (bytes(HALF - 11 - 10),))
    assert not transport.try_send(0, clunk(0), ())
    assert transport.try_send(1, clunk(1), ())  # the other ring has room
    assert requests.available() == HALF - 10
    requests.advance(HALF - 10)
    assert transport.try_send(0, clunk(0), (bytes(HALF - 11),))
    assert requests.available() == HALF


def test_a_reply_counts_when_it_is_whole(ends: Ends) -> None:
    data = encode(Rread(Tag(3), 100), 100) + bytes(range(100))
    replies = ends.back[1].replies
    replies.put(0, data)
    for part in (3, 4, 4, 50):
        replies.advance(part)
        assert ends.transport.receive(ends.deliver) == 0
    replies.advance(len(data) - 61)
    assert ends.transport.receive(ends.deliver) == 1
    assert ends.got == [(Rread(Tag(3), 100), bytes(range(100)))]


def test_many_replies_of_all_rings_come_in_one_pass(ends: Ends) -> None:
    for tag in range(6):
        ends.reply(tag % 2, Rclunk(Tag(tag)))
    ends.transport.wait(SECONDS)
    assert ends.transport.receive(ends.deliver) == 6
    assert [message.tag for message, _ in ends.got] == [0, 2, 4, 1, 3, 5]
    assert ends.transport.receive(ends.deliver) == 0
    # The room made is told to the backend, which may have waited for it.
    ends.transport.flush()
    assert ends.quiet() == {bound.port for bound in ends.back}


def test_wait_ends_with_an_event_or_with_its_time(ends: Ends) -> None:
    ends.transport.wait(0.01)
    assert ends.transport.receive(ends.deliver) == 0
    for _ in range(3):
        ends.back_events.notify(ends.back[0].port)
        ends.transport.wait(SECONDS)
        assert ends.transport.receive(ends.deliver) == 0


def test_wait_notices_that_the_backend_leaves(ends: Ends) -> None:
    ends.device.leave()
    with pytest.raises(ConnectionResetError, match="gone"):
        ends.transport.wait(SECONDS)


@pytest.mark.parametrize("distance", [HALF + 1, 1 << 31, 0xFFFF_FFFF])
def test_an_impossible_producer_index(ends: Ends, distance: int) -> None:
    ends.front[0].replies._words[IN_PROD] = distance
    with pytest.raises(OSError, match="broke the ring") as caught:
        ends.transport.receive(ends.deliver)
    assert (caught.value.errno, caught.value.filename) == (errno.EPROTO, "device")
    assert ends.got == []


@pytest.mark.parametrize("consumed", [1, 1 << 31])
def test_an_impossible_consumer_index(ends: Ends, consumed: int) -> None:
    ends.front[0].requests._words[OUT_CONS] = consumed
    with pytest.raises(OSError, match="broke the ring") as caught:
        ends.transport.try_send(0, clunk(0), ())
    assert caught.value.errno == errno.EPROTO


@pytest.mark.parametrize("size", [0, 6, 2049, HALF + 1, 0xFFFF_FFFF])
def test_a_size_no_reply_can_have(ends: Ends, size: int) -> None:
    ends.transport.limit_replies(2048)
    replies = ends.back[0].replies
    replies.put(0, size.to_bytes(4, "little") + bytes(7))
    replies.advance(11)
    with pytest.raises(OSError, match=f"a reply of {size} bytes") as caught:
        ends.transport.receive(ends.deliver)
    assert caught.value.errno == errno.EPROTO


def test_closing_closes_the_device_and_leaves_the_rings_alone(ends: Ends) -> None:
    ends.reply(0, Rclunk(Tag(0)))
    ends.transport.close()
    ends.transport.close()
    assert ends.device.closed == 2
    assert ends.transport.receive(ends.deliver) == 0
    with pytest.raises(OSError, match="the device is closed") as caught:
        ends.transport.try_send(0, clunk(0), ())
    assert caught.value.errno == errno.EBADF


def test_a_slice_that_a_sink_keeps_is_dead(ends: Ends) -> None:
    kept: list[memoryview] = []
    ends.reply(0, Rread(Tag(0), 3), b"abc")
    assert ends.transport.receive(lambda _frame, _size, payload: kept.extend(payload)) == 1
    with pytest.raises(ValueError, match="released memoryview"):
        bytes(kept[0])
