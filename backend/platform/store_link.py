"""One connection to XenStore: requests out, replies matched to them, never a wait without a bound.

Any thread may send: a request goes out at once if the socket takes it, and what is left is sent by
the store's thread, which alone reads.  When the connection dies every request in flight fails.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
import threading
from typing import TYPE_CHECKING, Final

from pyxs.client import Op

from protocol.xenpv.ports import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.platform.store_transport import Channel

log = logging.getLogger("backend.platform.store")

HEADER: Final = struct.Struct("=IIII")
"""``struct xsd_sockmsg`` of xen/io/xs_wire.h: type, req_id, tx_id, len, in native byte order."""

PAYLOAD_MAX: Final = 4096
"""XENSTORE_PAYLOAD_MAX, for requests; and for replies of xenstored in C."""

REPLY_MAX: Final = 1024 * 1024
"""Bytes of a reply: oxenstored sends a list of names as one packet, however long, on a socket.  All
domids that Xen can give out are a fifth of this."""

MAX_UNSENT: Final = 1024 * 1024
"""Bytes kept for a daemon that does not read; only requests nobody waits for any more pile up."""

_READ_SIZE: Final = 64 * 1024


class Reply:
    """A request in flight."""

    def __init__(self, op: int, tx_id: int, done: Callable[[Reply], None] | None) -> None:
        """``done`` is called by the store's thread, for requests that nobody waits for."""
        self.op = op
        self.tx_id = tx_id
        self.payload = b""
        self.error: OSError | None = None
        self._done = done
        self._settled = threading.Event()

    def settle(self, payload: bytes = b"", error: OSError | None = None) -> None:
        """The answer is here, or will never be."""
        self.payload, self.error = payload, error
        self._settled.set()
        if self._done is not None:
            self._done(self)

    def wait(self, timeout: float) -> bool:
        """Whether it was settled within ``timeout`` seconds."""
        return self._settled.wait(timeout)


class Link:
    """A connection from its opening to its end."""

    def __init__(
        self,
        channel: Channel,
        on_event: Callable[[bytes, bytes], None],
        wake: Callable[[], None],
    ) -> None:
        """``wake`` makes the store's thread look at ``wants_to_send`` and ``broken`` again."""
        self._channel = channel
        self._on_event = on_event
        self._wake = wake
        self._lock = threading.Lock()
        self._open = True
        self._in_flight: dict[int, Reply] = {}
        self._next_id = 0
        self._unsent = bytearray()
        self._received = bytearray()
        self.broken = ""
        self.proved = False

    @property
    def fd(self) -> int:
        """The descriptor, for the store's thread to poll."""
        return self._channel.fd

    @property
    def wants_to_send(self) -> bool:
        """Whether the descriptor should be polled for room."""
        return bool(self._unsent)

    def call(self, op: int, payload: bytes, tx_id: int, timeout: float) -> bytes:
        """A request and its reply's payload.

        Raises ``OSError`` with the daemon's errno, ``TimeoutError``, ``StoreUnavailable``.
        """
        return self.result(*self.send(op, payload, tx_id), timeout)

    def result(self, number: int, reply: Reply, timeout: float) -> bytes:
        """Wait for a reply's payload.  Raises as ``call``."""
        if not reply.wait(timeout):
            with self._lock:
                self._in_flight.pop(number, None)
            raise TimeoutError(errno.ETIMEDOUT, f"XenStore did not answer within {timeout:g} s")
        if reply.error is not None:
            raise reply.error
        return reply.payload

    def send(
        self,
        op: int,
        payload: bytes,
        tx_id: int = 0,
        done: Callable[[Reply], None] | None = None,
    ) -> tuple[int, Reply]:
        """Send a request; its number and the reply to come.  Never waits.

        Raises ``OSError``: E2BIG for a payload no packet can carry, ``StoreUnavailable``.
        """
        if len(payload) > PAYLOAD_MAX:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        with self._lock:
            if not self._open or self.broken:
                raise lost(self.broken)
            if len(self._unsent) > MAX_UNSENT:
                raise lost("the daemon does not read its requests")
            number = self._unused_number()
            reply = self._in_flight[number] = Reply(op, tx_id, done)
            self._unsent += HEADER.pack(op, number, tx_id, len(payload)) + payload
            refused = self._flush()
            wake = self.wants_to_send or bool(self.broken)
        _settle(refused)
        if wake:
            self._wake()
        return number, reply

    def flush(self) -> None:
        """Send what the descriptor takes."""
        with self._lock:
            refused = self._flush()
        _settle(refused)

    def receive(self) -> None:
        """Read and deliver what has come; ``broken`` says if the connection has ended."""
        try:
            data = os.read(self.fd, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.broken = str(error)
            return
        if not data:
            self.broken = "the daemon hung up"
            return
        self._received += data
        start = 0
        while len(self._received) - start >= HEADER.size:
            op, number, tx_id, length = HEADER.unpack_from(self._received, start)
            if length > REPLY_MAX:
                self.broken = f"a packet of {length} bytes was announced"
                return
            body = start + HEADER.size
            if len(self._received) < body + length:
                break
            start = body + length
            self._deliver(op, number, tx_id, bytes(self._received[body:start]))
        del self._received[:start]

    def abandon(self, reason: str) -> None:
        """Make the store's thread end this connection and with it what the daemon keeps for it."""
        self.broken = self.broken or reason
        self._wake()

    def close(self, reason: str) -> None:
        """Disconnect; whatever is in flight fails."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            self.broken = self.broken or reason
            self._channel.close()
            in_flight = list(self._in_flight.values())
            self._in_flight.clear()
        for reply in in_flight:
            reply.settle(error=lost(reason))

    def _unused_number(self) -> int:
        # A number comes round again after 2**32 requests; one that timed out long ago is forgotten.
        while self._next_id in self._in_flight:
            self._next_id = (self._next_id + 1) & 0xFFFFFFFF
        number = self._next_id
        self._next_id = (number + 1) & 0xFFFFFFFF
        return number

    def _flush(self) -> tuple[Reply, OSError] | None:
        """Send what the descriptor takes; the request that a device refuses.

        To a device, a request is one write(2), which the kernel carries out at once: its error is
        an answer, as of a guest's watch that is one too many, and there is no other
        (Linux drivers/xen/xenbus/xenbus_dev_frontend.c, ``xenbus_file_write``).
        """
        try:
            while self._unsent:
                del self._unsent[: os.write(self.fd, self._unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            if self._channel.is_device:
                number = HEADER.unpack_from(self._unsent)[1]
                self._unsent.clear()
                reply = self._in_flight.pop(number, None)
                return (reply, error) if reply is not None else None
            self.broken = str(error)
        return None

    def _deliver(self, op: int, number: int, tx_id: int, payload: bytes) -> None:
        if op == Op.WATCH_EVENT:
            parts = payload.split(b"\0")
            if len(parts) >= 3:
                self._on_event(parts[0], parts[1])
            else:
                log.warning("XenStore sent an event without a path and a token: ignored")
            return
        with self._lock:
            reply = self._in_flight.get(number)
            expected = reply is not None and (
                op == Op.ERROR or (op, tx_id) == (reply.op, reply.tx_id)
            )
            if expected:
                del self._in_flight[number]
        if reply is None or not expected:
            log.warning("XenStore sent a packet nobody expects: type %d, request %d", op, number)
            return
        self.proved = True
        if op == Op.ERROR:
            reply.settle(error=_error(payload))
        else:
            reply.settle(payload)


def _settle(refused: tuple[Reply, OSError] | None) -> None:
    """Without the lock: who waits may ask for something else at once."""
    if refused is not None:
        reply, error = refused
        reply.settle(error=error)


def lost(reason: str) -> StoreUnavailable:
    """What calls get when there is no connection."""
    return StoreUnavailable(errno.ENOTCONN, f"XenStore cannot be reached: {reason}")


def _error(payload: bytes) -> OSError:
    """An ERROR packet carries an errno's name; oxenstored has one that no C library knows."""
    name = payload.rstrip(b"\0").decode("ascii", "replace").replace("EQUOTA", "EDQUOT")
    code = getattr(errno, name, None) if name.startswith("E") else None
    if not isinstance(code, int):
        return OSError(errno.EIO, f"XenStore answered with an unknown error, {name!r}")
    return OSError(code, os.strerror(code))
