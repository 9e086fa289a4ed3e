"""A device in one process: a real Connection over real rings, and the frontend's ends of them."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from backend.fileserver.connection import Connection
from backend.fileserver.counters import Counters
from backend.fileserver.lane import Lane
from backend.fileserver.limits import Limits
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.session import Session
from protocol.ninep.codec import FIXED_SIZE, HEADER_SIZE, decode, encode
from protocol.ninep.flags import DOTL_RDWR
from protocol.ninep.ids import NOFID, NOTAG, Fid, Tag
from protocol.ninep.messages import (
    TYPE_NUMBERS,
    Rversion,
    Tattach,
    Tlcreate,
    Tversion,
    Twalk,
)
from protocol.xenpv.ring import backend_rings, frontend_rings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backend.fileserver.grouped_lane import GroupedLane
    from backend.fileserver.readiness import Readiness
    from backend.fileserver.tree import Tree
    from backend.trace import TraceWriter
    from protocol.ninep.messages import Message

ROOT_FID = Fid(0)


class RingPeer:
    """``rings`` rings of ``1 << order`` pages; requests and replies are messages."""

    def __init__(
        self,
        root: Path,
        *,
        rings: int = 2,
        order: int = 4,
        wrap: Callable[[Tree], Tree] | None = None,
        trace: TraceWriter | None = None,
        readiness: Readiness | None = None,
        lane: type[GroupedLane] | None = None,
    ) -> None:
        self.words = [memoryview(bytearray(4096)).cast("I") for _ in range(rings)]
        self.data = [memoryview(bytearray(4096 << order)) for _ in range(rings)]
        half = 4096 << order >> 1
        self.notified = [0] * rings
        ends = [
            backend_rings(words, data, f"ring {number}")
            for number, (words, data) in enumerate(zip(self.words, self.data, strict=True))
        ]
        self.ends = [
            frontend_rings(words, data, f"ring {number}")
            for number, (words, data) in enumerate(zip(self.words, self.data, strict=True))
        ]
        local = LocalTree(str(root))
        self.session = Session(wrap(local) if wrap else local, Limits(), half, readiness)
        self.connection = Connection(
            self.session,
            [(lane or Lane)(*end, self._notifier(number)) for number, end in enumerate(ends)],
            Counters(),
            trace,
        )

    def _notifier(self, number: int):  # type: ignore[no-untyped-def]
        def notify() -> None:
            self.notified[number] += 1

        return notify

    def put(self, frame: bytes, ring: int = 0) -> None:
        """Publish raw bytes as a frontend would."""
        producer = self.ends[ring][1]
        assert producer.free() >= len(frame)
        producer.put(0, frame)
        producer.advance(len(frame))

    def take(self, ring: int = 0) -> tuple[Message, bytes] | None:
        """Consume one reply with its data, or ``None`` when there is none."""
        consumer = self.ends[ring][0]
        available = consumer.available()
        if available < HEADER_SIZE:
            return None
        size = int.from_bytes(consumer.peek(4), "little")
        assert size <= available, "a reply was published before it was whole"
        frame = consumer.peek(size)
        reply = decode(frame, size)
        fixed = FIXED_SIZE.get(TYPE_NUMBERS[type(reply)], size)
        consumer.advance(size)
        return reply, frame[fixed:]

    def serve(self, ring: int = 0) -> None:
        """What the worker does on an event."""
        while self.connection.service(ring):
            pass

    def call(self, request: Message, payload: bytes = b"", ring: int = 0) -> Message:
        """One request, its reply."""
        return self.call_with_data(request, payload, ring)[0]

    def call_with_data(
        self, request: Message, payload: bytes = b"", ring: int = 0
    ) -> tuple[Message, bytes]:
        """One request, its reply and the reply's data."""
        self.put(encode(request, len(payload)) + payload, ring)
        self.serve(ring)
        answer = self.take(ring)
        if answer is None:
            assert select.select([self.connection.completion_fd], [], [], 10)[0]
            self.connection.complete()
            answer = self.take(ring)
        assert answer is not None
        return answer

    def mount(self, msize: int = 1 << 20, version: bytes = b"9P2000.L") -> int:
        """Tversion and Tattach as fid 0; the msize that was agreed."""
        agreed = self.call(Tversion(NOTAG, msize, version))
        assert isinstance(agreed, Rversion)
        assert agreed.version == version
        self.call(Tattach(Tag(1), ROOT_FID, NOFID, b"root", b"/", 0))
        return agreed.msize

    def create(self, name: bytes, fid: int) -> None:
        """An open new file of this name as ``fid``."""
        self.call(Twalk(Tag(1), ROOT_FID, Fid(fid), ()))
        self.call(Tlcreate(Tag(1), Fid(fid), name, DOTL_RDWR, 0o644, 0))

    def close(self) -> None:
        """Drop the session."""
        self.connection.close()
