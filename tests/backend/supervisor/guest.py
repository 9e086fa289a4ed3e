"""A frontend made by hand, step by step, so that a test can do every step wrong."""

from __future__ import annotations

import select
import struct
from typing import TYPE_CHECKING, Self

from backend.platform import open_platform
from protocol.xenpv.device import RingOffer, frontend_nodes
from protocol.xenpv.ids import DOM0, Domid
from protocol.xenpv.ring import frontend_rings
from protocol.xenpv.xenbus import XenbusState
from tests.backend.supervisor.program import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.xenpv.ids import Evtchn
    from protocol.xenpv.ports import GrantedPages, StoreView
    from protocol.xenpv.ring import ConsumerRing, ProducerRing

HEADER = struct.Struct("<IBH")


class Ring:
    """A shared ring of the guest's."""

    def __init__(self, page: GrantedPages, data: GrantedPages, port: Evtchn) -> None:
        self.page, self.data, self.port = page, data, port
        self.words = page.memory.cast("I")
        self.replies: ConsumerRing
        self.requests: ProducerRing
        self.replies, self.requests = frontend_rings(self.words, data.memory, "guest")

    @property
    def offer(self) -> RingOffer:
        return RingOffer(self.page.grefs[0], self.port)

    def close(self) -> None:
        del self.replies, self.requests
        self.words.release()
        self.data.close()
        self.page.close()


class Guest:
    """Domain ``domid``, device ``devid``; attached already."""

    def __init__(self, platform: str, domid: int, devid: int = 0) -> None:
        self.platform = open_platform(platform, domid=Domid(domid))
        self.domid = domid
        self.home = f"/local/domain/{domid}/device/9pfs/{devid}"
        self.backend = f"/local/domain/0/backend/xen_9pfs/{domid}/{devid}"
        self.store = self.platform.store()
        self.sharer = self.platform.grant_sharer()
        self.events = self.platform.event_channels()
        self.rings: list[Ring] = []

    def read(self, path: str) -> bytes | None:
        try:
            return self.store.read(path)
        except (FileNotFoundError, PermissionError):  # the latter for what has no parent yet
            return None

    def backend_state(self) -> XenbusState:
        return XenbusState.parse(self.read(f"{self.backend}/state") or b"")

    def error(self) -> str | None:
        value = self.read(f"{self.backend}/error")
        return None if value is None else value.decode()

    def wait(self, done: Callable[[], bool], node: str = "state") -> None:
        """Wait until ``done``, looking whenever a node of the backend's changes."""
        path = f"{self.backend}/{node}"
        self.store.watch(path, "guest")
        try:
            while True:
                self.store.events()
                if done():
                    return
                ready, _, _ = select.select([self.store.fileno()], [], [], PATIENCE)
                assert ready, f"backend is {self.backend_state().name}, error {self.error()}"
        finally:
            self.store.unwatch(path, "guest")

    def wait_backend(self, *states: XenbusState) -> XenbusState:
        self.wait(lambda: self.backend_state() in states)
        return self.backend_state()

    def share_ring(self, order: int = 1, written_order: int | None = None) -> Ring:
        page = self.sharer.share(DOM0, 1)
        data = self.sharer.share(DOM0, 1 << order)
        shown = order if written_order is None else written_order
        struct.pack_into("<I", page.memory, 128, shown)
        struct.pack_into(f"<{len(data.grefs)}I", page.memory, 132, *data.grefs)
        ring = Ring(page, data, self.events.alloc_unbound(DOM0))
        self.rings.append(ring)
        return ring

    def publish(self, **changes: bytes | None) -> None:
        """Write what a frontend writes, but for ``changes`` (``_`` for ``-``), and state 3."""
        nodes: dict[str, bytes | None] = {**frontend_nodes([ring.offer for ring in self.rings])}
        nodes |= {name.replace("_", "-"): value for name, value in changes.items()}

        def body(view: StoreView) -> None:
            for name, value in nodes.items():
                if value is None:
                    view.rm(f"{self.home}/{name}")
                else:
                    view.write(f"{self.home}/{name}", value)
            view.write(f"{self.home}/state", b"3")

        self.store.transact(body)

    def say(self, state: XenbusState) -> None:
        self.store.write(f"{self.home}/state", b"%d" % state)

    def connect(self, rings: int = 1, order: int = 1) -> None:
        self.wait_backend(XenbusState.INIT_WAIT)
        for _ in range(rings):
            self.share_ring(order)
        self.publish()
        self.wait_backend(XenbusState.CONNECTED)
        self.say(XenbusState.CONNECTED)

    def disconnect(self) -> None:
        """Go to Closed, wait for the backend, take the rings back."""
        self.say(XenbusState.CLOSED)
        self.wait_backend(XenbusState.CLOSED)
        self.drop_rings()

    def drop_rings(self) -> None:
        for ring in self.rings:
            self.events.unbind(ring.port)
            ring.close()
        self.rings.clear()

    def send(self, frame: bytes, ring: int = 0) -> None:
        requests = self.rings[ring].requests
        assert requests.free() >= len(frame)
        requests.put(0, frame)
        requests.advance(len(frame))
        self.events.notify(self.rings[ring].port)

    def receive(self, ring: int = 0) -> bytes:
        """The next whole reply."""
        replies = self.rings[ring].replies
        while True:
            ready = replies.available()
            if ready >= HEADER.size:
                size = HEADER.unpack(replies.peek(HEADER.size))[0]
                if ready >= size:
                    reply = replies.peek(size)
                    replies.advance(size)
                    self.events.notify(self.rings[ring].port)
                    return reply
            polled, _, _ = select.select([self.events.fileno()], [], [], PATIENCE)
            assert polled, f"no reply; backend is {self.backend_state().name}: {self.error()}"
            while (port := self.events.pending()) is not None:
                self.events.unmask(port)

    def version(self, ring: int = 0) -> bytes:
        """Tversion and its reply: shows that the device serves."""
        text = b"9P2000.L"
        body = struct.pack("<IH", 8192, len(text)) + text
        self.send(HEADER.pack(HEADER.size + len(body), 100, 0xFFFF) + body, ring)
        return self.receive(ring)

    def close(self) -> None:
        for ring in self.rings:
            ring.close()
        self.rings.clear()
        self.events.close()
        self.sharer.close()
        self.store.close()
        self.platform.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
