"""9P over the device's rings: one event for a batch of requests, no copy but into and out of them.

A request goes on ring ``tag % rings``, as Linux's does.  The backend's indices are as little
believed as a guest's are by the backend: an impossible one ends the connection.
"""

from __future__ import annotations

import errno
import select
from typing import TYPE_CHECKING, Final, Protocol

from frontend_stub.transport import FRAME_HEADER, bad_size
from protocol.ninep.codec import FIXED_SIZE, HEADER_SIZE
from protocol.xenpv.ring import RingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frontend_stub.ring_setup import FrontRing
    from frontend_stub.transport import Buffer, Deliver
    from protocol.xenpv.ports import EventChannels

MAX_MSIZE: Final = 512 * 1024
"""Linux's limit on any transport of this kind (order 9: half of a ring's half)."""

MIN_MSIZE: Final = 4096
"""What Linux needs at least; a ring of order 1 carries one such message each way."""

_GLANCE: Final = 11
"""Bytes looked at first: all of an Rread's, Rwrite's or Rlerror's head."""


class Device(Protocol):
    """What the transport asks of the xenbus frontend."""

    @property
    def name(self) -> str:
        """The device, as error messages name it."""

    def fileno(self) -> int:
        """Polls readable when ``check`` has something to look at."""

    def check(self) -> None:
        """Raise ``ConnectionResetError`` if the backend is not connected any more."""

    def close(self) -> None:
        """Disconnect, and take the rings back."""


class RingTransport:
    """The rings of one connected device, which it owns."""

    def __init__(self, rings: Sequence[FrontRing], events: EventChannels, device: Device) -> None:
        self._rings = tuple(rings)
        self._events = events
        self._device = device
        self._limit = self._max_msize = max_msize(min(ring.requests.size for ring in rings))
        self._unannounced: set[FrontRing] = set()
        self._woken = False
        self._events_fd = events.fileno()
        self._poll = select.poll()
        self._poll.register(self._events_fd, select.POLLIN)
        self._poll.register(device.fileno(), select.POLLIN)

    @property
    def name(self) -> str:
        """The device."""
        return self._device.name

    @property
    def max_msize(self) -> int:
        """Half of a ring's half, so that one request is written while another is read."""
        return self._max_msize

    def limit_replies(self, msize: int) -> None:
        """From now on a reply of more than ``msize`` bytes is a broken protocol."""
        self._limit = msize

    def try_send(self, tag: int, frame: bytes, payload: Sequence[Buffer]) -> bool:
        """Put the request on its ring, if there is room for all of it."""
        rings = self._rings
        if not rings:
            raise OSError(errno.EBADF, "the device is closed", self.name)
        ring = rings[tag % len(rings)]
        requests = ring.requests
        try:
            free = requests.free()
        except RingError as error:
            raise self._impossible(error) from error
        length = len(frame)
        if payload:
            length += sum(map(len, payload))
        if length > free:
            return False
        requests.put(0, frame)
        at = len(frame)
        for part in payload:
            requests.put(at, part)
            at += len(part)
        requests.advance(length)
        self._unannounced.add(ring)
        return True

    def flush(self) -> None:
        """Notify the backend on each ring where something was written, or room was made."""
        while self._unannounced:
            self._events.notify(self._unannounced.pop().port)

    def receive(self, deliver: Deliver) -> int:
        """Hand over every reply that lies whole in a ring."""
        if self._woken:
            # Unmask before the rings are looked at: what comes afterwards is a new event.
            self._woken = False
            while (port := self._events.pending()) is not None:
                self._events.unmask(port)
        count = 0
        try:
            for ring in self._rings:
                count += self._take(ring, deliver)
        except RingError as error:
            raise self._impossible(error) from error
        return count

    def _take(self, ring: FrontRing, deliver: Deliver) -> int:
        replies = ring.replies
        available = replies.available()
        count = 0
        while available >= HEADER_SIZE:
            frame = replies.peek(min(available, _GLANCE))
            size, kind = FRAME_HEADER.unpack_from(frame)
            if not HEADER_SIZE <= size <= self._limit:
                raise bad_size(self.name, size, self._limit)
            if size > available:
                break  # being written: the backend publishes whole replies, but need not
            # A short frame of a payload type goes to the decoder whole, which refuses it.
            fixed = min(FIXED_SIZE.get(kind, size), size)
            if fixed < len(frame):
                frame = frame[:fixed]
            elif fixed > len(frame):
                # Only what is missing: nothing is read from the ring twice.
                frame += replies.peek(fixed - len(frame), len(frame))
            payload = replies.slices(fixed, size - fixed) if size > fixed else ()
            deliver(frame, size, payload)
            for part in payload:
                part.release()  # a sink that kept one gets an exception, not unmapped memory
            replies.advance(size)
            available -= size
            count += 1
        if count:
            # The backend may have waited for this room.  It is told with the next requests, or
            # before we wait: also then one event for a batch.
            self._unannounced.add(ring)
        return count

    def wait(self, seconds: float) -> None:
        """Wait for an event of a ring, or for the backend to leave."""
        for descriptor, _ in self._poll.poll(max(0.0, seconds) * 1000):
            if descriptor == self._events_fd:
                self._woken = True
            else:
                self._device.check()

    def polled(self) -> dict[int, int]:
        """The rings' event channels, and the backend's state."""
        return {self._events_fd: select.POLLIN, self._device.fileno(): select.POLLIN}

    def _impossible(self, error: RingError) -> OSError:
        return OSError(errno.EPROTO, f"the backend broke the ring: {error}", self.name)

    def close(self) -> None:
        """Disconnect the device.  The rings' pages are unmapped, so nobody may touch them then."""
        self._rings = ()
        self._unannounced.clear()
        self._device.close()


def max_msize(half: int) -> int:
    """The largest message for a ring with ``half`` bytes each way."""
    return min(MAX_MSIZE, max(half // 2, min(half, MIN_MSIZE)))
