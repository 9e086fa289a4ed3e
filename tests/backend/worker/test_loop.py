"""The worker's loop, turn by turn, on real event channels and with a clock of the test's own."""

from __future__ import annotations

import select
import struct
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.connection import Connection
from backend.fileserver.counters import Counters
from backend.fileserver.lane import Lane
from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from backend.share import Share
from backend.worker import control
from backend.worker.control import ControlChannel, Outlive, Query, Report, Stop
from backend.worker.loop import MOST_EMPTY, REST, ServiceLoop
from backend.worker.rings import bind_ring
from backend.worker.sessions import open_session
from backend.worker.supervision import Supervision
from protocol.xenpv.ids import DOM0, Domid
from tests.backend.supervisor.guest import HEADER, Guest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bench:
    """A loop that serves domain 5 and runs when it is told to."""

    def __init__(self, place: Path, stack: ExitStack) -> None:
        hypervisor = stack.enter_context(EmbeddedHypervisor.start(str(place / "hv")))
        hypervisor.create_domain(5)
        self.guest = stack.enter_context(Guest(f"embedded:{place / 'hv'}", 5))
        ring = self.guest.share_ring()
        dom0 = hypervisor.platform(DOM0)
        mapper, self.events = dom0.grant_mapper(), dom0.event_channels()
        stack.callback(self.events.close)
        stack.callback(mapper.close)
        bound = bind_ring(mapper, self.events, Domid(5), 0, ring.offer, max_order=1)
        for pages in bound.pages:
            stack.callback(pages.close)
        session = open_session(
            Share(str(place)),
            (),
            listeners={},
            quota_dir="",
            max_fids=8,
            max_open_files=8,
            max_msize=8192,
        )
        lane = Lane(bound.requests, bound.replies, lambda: self.events.notify(bound.port))
        connection = Connection(session, [lane], Counters(), None)
        stack.callback(connection.close)
        ours, theirs = control.pair()
        self.supervisor = ControlChannel(ours)
        stack.callback(self.supervisor.close)
        supervision = Supervision(ControlChannel(theirs))
        stack.callback(supervision.close)
        self.now = 1000.0
        self.loop = ServiceLoop(
            connection, self.events, {bound.port: 0}, supervision, lambda: self.now
        )
        self._poll = self.loop.watch()
        stack.callback(self._poll.close)
        self.turn()  # the event that a new binding begins with, empty as well

    def turn(self) -> None:
        self.loop.turn(self._poll)

    def hears(self) -> bool:
        """Whether an event reaches the loop, or is kept by the masked channel."""
        self.guest.events.notify(self.guest.rings[0].port)
        return bool(select.select([self.events.fileno()], [], [], 0)[0])

    def flood(self) -> int:
        """Send events that announce nothing, one a turn; how many were heard before a rest."""
        heard = 0
        while self.hears():
            heard += 1
            assert heard < 10 * MOST_EMPTY
            self.turn()
        return heard

    def ask(self) -> None:
        """A request: an unknown dialect, which is answered at once."""
        text = b"9P"
        body = struct.pack("<IH", 8192, len(text)) + text
        self.guest.send(HEADER.pack(HEADER.size + len(body), 100, 0xFFFF) + body)

    def answered(self) -> bool:
        reply = self.guest.rings[0].replies
        ready = reply.available()
        reply.advance(ready)
        return ready > 0


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="xf") as name, ExitStack() as stack:
        yield Bench(Path(name), stack)


def test_a_channel_whose_events_announce_nothing_rests(bench: Bench) -> None:
    assert bench.flood() == MOST_EMPTY  # the binding's own was the first of them
    for _ in range(3):
        bench.turn()
        assert not bench.hears()
    bench.now += 0.9 * REST
    bench.turn()
    assert not bench.hears()
    bench.now += 0.2 * REST
    bench.turn()
    # What it kept is heard at once, and is empty: it rests again.
    assert bench.hears()
    bench.turn()
    assert not bench.hears()


def test_a_request_that_comes_during_the_rest_is_answered_after_it(bench: Bench) -> None:
    bench.flood()
    bench.ask()
    bench.now += REST
    bench.turn()
    assert bench.answered()
    # Whoever means it is heard as before.
    bench.turn()
    assert bench.flood() >= MOST_EMPTY - 1


def test_requests_between_empty_events_keep_a_channel_awake(bench: Bench) -> None:
    for _ in range(3 * MOST_EMPTY):
        assert bench.hears()
        bench.turn()
        bench.ask()
        bench.turn()
        assert bench.answered()
    assert bench.hears()


def test_orders_are_taken_while_a_channel_rests(bench: Bench) -> None:
    bench.flood()
    bench.supervisor.send(Outlive())
    bench.turn()
    bench.supervisor.send(Query(3))
    bench.turn()
    report = bench.supervisor.receive()
    assert isinstance(report, Report)
    assert report.number == 3
    bench.supervisor.send(Stop())
    assert bench.loop.run() is None
