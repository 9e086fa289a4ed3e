"""A backend that does as the test says, right or wrong: it uses the platform's ports directly."""

from __future__ import annotations

import select
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from backend.share import Share
from backend.toolstack import attach, ends
from backend.worker.rings import bind_ring
from protocol.xenpv.device import BackendOffer, backend_nodes, read_frontend_nodes
from protocol.xenpv.ids import DOM0, Devid, Domid
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from types import TracebackType

    from backend.platform.platform import Platform
    from backend.worker.rings import BoundRing
    from protocol.xenpv.ids import Evtchn

DEADLINE = 20.0
DEVID = Devid(0)


class RawBackend:
    """Dom0's end of device 0 of domain ``domid``, whose nodes it makes."""

    def __init__(self, dom0: Platform, domid: Domid, tag: str = "share") -> None:
        self._stack = ExitStack()
        self.domid = domid
        self.store = dom0.store()
        self._stack.callback(self.store.close)
        self.events = dom0.event_channels()
        self._stack.callback(self.events.close)
        self.mapper = dom0.grant_mapper()
        self._stack.callback(self.mapper.close)
        self.rings: list[BoundRing] = []
        attach(self.store, DOM0, domid, Share("/nowhere"), tag, devid=DEVID)
        self.frontend, self.backend = ends(DOM0, domid, DEVID)
        self.store.watch(f"{self.frontend}/state", "raw")

    def say(self, state: XenbusState, **nodes: bytes) -> None:
        """Write ``nodes`` and our state."""
        for name, value in nodes.items():
            self.store.write(f"{self.backend}/{name.replace('_', '-')}", value)
        self.store.write(f"{self.backend}/state", b"%d" % state)

    def announce(self, max_rings: int = 9, max_order: int = 9) -> None:
        """Offer, and go to InitWait."""
        for name, value in backend_nodes(BackendOffer(max_rings, max_order)).items():
            self.store.write(f"{self.backend}/{name}", value)
        self.say(XenbusState.INIT_WAIT)

    def read(self, name: str) -> bytes | None:
        """A node of the frontend's."""
        try:
            return self.store.read(f"{self.frontend}/{name}")
        except FileNotFoundError:
            return None

    def await_frontend(self, *states: XenbusState) -> XenbusState:
        """Wait until the frontend is in one of ``states``."""
        deadline = time.monotonic() + DEADLINE
        poll = select.poll()
        poll.register(self.store.fileno(), select.POLLIN)
        while (state := XenbusState.parse(self.read("state") or b"")) not in states:
            left = deadline - time.monotonic()
            assert poll.poll(max(0.0, left) * 1000), f"the frontend stays in {state.name}"
            self.store.events()
        return state

    def map(self, max_order: int = 9) -> None:
        """Map what the frontend offers, once it has."""
        self.await_frontend(XenbusState.INITIALISED)
        for number, offer in enumerate(read_frontend_nodes(self.read, BackendOffer(9, max_order))):
            ring = bind_ring(
                self.mapper, self.events, self.domid, number, offer, max_order=max_order
            )
            self.rings.append(ring)
            for pages in ring.pages:
                self._stack.callback(pages.close)

    def connect(self, max_order: int = 9) -> None:
        """``map``, and go to Connected."""
        self.map(max_order)
        self.say(XenbusState.CONNECTED)

    def await_event(self) -> Evtchn:
        """Wait for the frontend's next event."""
        poll = select.poll()
        poll.register(self.events.fileno(), select.POLLIN)
        assert poll.poll(DEADLINE * 1000), "no event"
        port = self.events.pending()
        assert port is not None
        self.events.unmask(port)
        return port

    def await_bytes(self, number: int, count: int) -> bytes:
        """Wait until ring ``number`` holds ``count`` bytes of requests, and take them."""
        requests = self.rings[number].requests
        while requests.available() < count:
            self.await_event()
        data = requests.peek(count)
        requests.advance(count)
        return data

    def publish(self, number: int, data: bytes) -> None:
        """Put ``data`` on ring ``number`` and tell the frontend."""
        replies = self.rings[number].replies
        replies.put(0, data)
        replies.advance(len(data))
        self.events.notify(self.rings[number].port)

    def let_go(self) -> None:
        """Unmap and unbind everything."""
        for ring in self.rings:
            self.events.unbind(ring.port)
            for pages in ring.pages:
                pages.close()
        self.rings.clear()

    def close(self) -> None:
        """Give everything back."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
