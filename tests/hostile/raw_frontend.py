"""A frontend that does as it is told, right or wrong: the hostile half of the tests.

It talks to the platform's ports directly; nothing of the well-behaved frontend's checks is in it.
"""

from __future__ import annotations

import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from frontend_stub.ring_setup import FrontRing
from protocol.ninep.codec import decode_frame, encode
from protocol.ninep.ids import NOFID, NOTAG, Fid, Tag
from protocol.ninep.messages import Rattach, Rversion, Tattach, Tversion
from protocol.xenpv.device import frontend_nodes
from protocol.xenpv.ids import DOM0
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from backend.platform.embedded.platform import EmbeddedPlatform
    from protocol.ninep.messages import Message

DEADLINE = 20.0
ROOT = Fid(0)


class RawFrontend:
    """Domain ``domid``'s device 0, with ``rings`` rings of ``1 << order`` pages."""

    def __init__(
        self, platform: EmbeddedPlatform, domid: int, *, rings: int = 2, order: int = 1
    ) -> None:
        self.front = f"/local/domain/{domid}/device/9pfs/0"
        self.store = platform.store()
        self.sharer = platform.grant_sharer()
        self.events = platform.event_channels()
        self.rings = [
            FrontRing(self.sharer, self.events, DOM0, order, f"ring {number}")
            for number in range(rings)
        ]
        # The words of each interface page, to write what no frontend should.
        self.words = [ring.requests._words for ring in self.rings]
        self.backend = self.store.read(f"{self.front}/backend").decode()

    def nodes(self) -> dict[str, bytes]:
        """What a good frontend would publish."""
        return frontend_nodes([ring.offer for ring in self.rings])

    def publish(self, nodes: dict[str, bytes | None] | None = None) -> None:
        """Write the nodes, changed as ``nodes`` says (``None``: left out), then state 3."""
        for name, value in {**self.nodes(), **(nodes or {})}.items():
            if value is not None:
                self.store.write(f"{self.front}/{name}", value)
        self.say(XenbusState.INITIALISED)

    def say(self, state: XenbusState) -> None:
        """Write our state."""
        self.store.write(f"{self.front}/state", b"%d" % state)

    def await_state(self, *states: XenbusState) -> XenbusState:
        """Wait until the backend is in one of ``states``."""
        path = f"{self.backend}/state"
        self.store.watch(path, "raw")
        try:
            return self._until(lambda state: state in states)
        finally:
            self.store.unwatch(path, "raw")

    def _until(self, good: Callable[[XenbusState], bool]) -> XenbusState:
        deadline = time.monotonic() + DEADLINE
        while True:
            self.store.events()
            if good(state := self.backend_state()):
                return state
            left = deadline - time.monotonic()
            assert left > 0, f"the backend stays at {state.name}: {self.error()}"
            select.select([self.store.fileno()], [], [], left)

    def backend_state(self) -> XenbusState:
        """Where the backend is now."""
        return XenbusState.parse(self.store.read(f"{self.backend}/state"))

    def error(self) -> str:
        """The backend's reason, or an empty string."""
        try:
            return self.store.read(f"{self.backend}/error").decode()
        except FileNotFoundError:
            return ""

    def begin_anew(self) -> Self:
        """As a driver that is loaded again, whatever the last one left."""
        if self.backend_state() is not XenbusState.INIT_WAIT:
            self.say(XenbusState.CLOSED)
            self.await_state(XenbusState.CLOSED)
        self.say(XenbusState.INITIALISING)
        return self

    def connect(self) -> Self:
        """The whole handshake, well-behaved."""
        self.await_state(XenbusState.INIT_WAIT)
        self.publish()
        self.await_state(XenbusState.CONNECTED)
        self.say(XenbusState.CONNECTED)
        return self

    def mount(self) -> Self:
        """``connect``, then Tversion and Tattach as fid 0."""
        self.connect()
        assert isinstance(self.call(Tversion(NOTAG, 8192, b"9P2000.L")), Rversion)
        attach = Tattach(Tag(1), ROOT, NOFID, b"root", b"/", 0)
        assert isinstance(self.call(attach), Rattach)
        return self

    def send(self, frame: bytes, ring: int = 0) -> None:
        """Publish raw bytes and notify."""
        requests = self.rings[ring].requests
        assert requests.free() >= len(frame)
        requests.put(0, frame)
        requests.advance(len(frame))
        self.notify(ring)

    def notify(self, ring: int = 0) -> None:
        """An event, with or without a cause."""
        self.events.notify(self.rings[ring].port)

    def take(self, ring: int = 0) -> bytes | None:
        """One whole reply, if there is one."""
        replies = self.rings[ring].replies
        available = replies.available()
        if available < 7:
            return None
        size = int.from_bytes(replies.peek(4), "little")
        assert size <= available, "a reply was published before it was whole"
        frame = replies.peek(size)
        replies.advance(size)
        return frame

    def receive(self, ring: int = 0) -> bytes:
        """Wait for one reply."""
        deadline = time.monotonic() + DEADLINE
        while (frame := self.take(ring)) is None:
            left = deadline - time.monotonic()
            assert left > 0, f"no reply: {self.error()}"
            select.select([self.events.fileno()], [], [], left)
            while (port := self.events.pending()) is not None:
                self.events.unmask(port)
        return frame

    def call(self, request: Message, ring: int = 0) -> Message:
        """One request, its reply."""
        self.send(encode(request), ring)
        return decode_frame(self.receive(ring))

    def close(self) -> None:
        """Give everything back, in whatever state the handshake is, and say so if we still can."""
        with suppress(OSError):
            self.say(XenbusState.CLOSED)
        for ring in self.rings:
            ring.close()
        self.events.close()
        self.sharer.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
