"""In the guest: a 9P2000.u client without a kernel, for backends that Linux cannot mount.

It asks for what ten kinds of message can say, one request at a time, on one ring.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, TypeVar

from backend.platform import open_platform
from frontend_stub.client import IO_HEADER
from frontend_stub.devices import find_device
from frontend_stub.xenbus_frontend import XenbusFrontend
from protocol.ninep.codec import decode, encode
from protocol.ninep.dialects import Dialect
from protocol.ninep.errors import ProtocolError
from protocol.ninep.ids import NOFID, NOTAG, Fid, Tag
from protocol.ninep.messages import Rattach, Rerror, Rversion, Tattach, Tversion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from frontend_stub.transport import Buffer, Slices, Transport
    from protocol.ninep.messages import Message
    from protocol.xenpv.ids import Domid

ROOT: Final = Fid(0)
TAG: Final = Tag(0)
_KIND_AT: Final = 4
_RERROR: Final = 107
_RINGS: Final = 1
_ORDER: Final = 9
_SECONDS: Final = 60.0
"""For one answer: of a backend that has died there is none."""

R = TypeVar("R")


class Session:
    """A session over ``transport``, which it owns: attached, as fid ``ROOT``."""

    def __init__(self, transport: Transport) -> None:
        """Raises ``OSError``; the transport is closed then."""
        self._transport: Final = transport
        self._replies: Final[list[tuple[bytes, int]]] = []
        self._into: memoryview | None = None
        try:
            self.max_io: Final = self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> int:
        """Agree on the dialect, and attach; the most data that a message carries."""
        dialect = Dialect.DOTU.value
        version = self.call(Tversion(NOTAG, self._transport.max_msize, dialect), Rversion)
        if version.version != dialect:
            raise OSError(errno.EPROTONOSUPPORT, f"the server speaks {version.version!r}")
        self.call(Tattach(TAG, ROOT, NOFID, b"root", b"/", 0), Rattach)
        return version.msize - IO_HEADER

    @classmethod
    def connect(cls, domid: Domid, tag: str) -> Self:
        """Of our own domain's device that is called ``tag``.  Raises ``OSError``."""
        with ExitStack() as undo:
            platform = open_platform("xen", domid=domid)
            undo.callback(platform.close)
            store = platform.store()
            try:
                number = find_device(store, tag)
            finally:
                store.close()
            frontend = XenbusFrontend(platform, number, undo.pop_all())
        return cls(frontend.connect(_RINGS, _ORDER))

    def call(
        self,
        request: Message,
        expected: type[R],
        payload: Sequence[Buffer] = (),
        into: memoryview | None = None,
    ) -> R:
        """Send it, with a Twrite's data, and wait for the answer; an Rread's data go ``into``.

        Raises ``OSError``: the server's, EPROTO, or ETIMEDOUT.
        """
        frame, size = self._exchange(request, payload, into)
        try:
            reply = decode(frame, size)
        except ProtocolError as error:
            raise OSError(errno.EPROTO, str(error)) from error
        assert isinstance(reply, expected), reply
        return reply

    def ask(self, request: Message) -> bytes:
        """The answer as it comes.  Raises ``OSError``."""
        return self._exchange(request, (), None)[0]

    def _exchange(
        self, request: Message, payload: Sequence[Buffer], into: memoryview | None
    ) -> tuple[bytes, int]:
        transport = self._transport
        self._into = into
        assert transport.try_send(request.tag, encode(request, sum(map(len, payload))), payload)
        transport.flush()
        deadline = 0.0
        while not self._replies:
            transport.wait(_SECONDS)
            if not transport.receive(self._deliver):
                # An event that brings no reply is not the end: a backend may tell of room, too.
                now = time.monotonic()
                deadline = deadline or now + _SECONDS
                if now >= deadline:
                    raise TimeoutError(errno.ETIMEDOUT, f"no answer to {request}")
        frame, size = self._replies.pop()
        if frame[_KIND_AT] == _RERROR:
            reply = decode(frame, size)
            assert isinstance(reply, Rerror)
            raise OSError(reply.errno, os.strerror(reply.errno))
        return frame, size

    def close(self) -> None:
        """Disconnect the device."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _deliver(self, frame: bytes, size: int, payload: Slices) -> None:
        self._replies.append((frame, size))
        at = 0
        for part in payload:
            assert self._into is not None
            self._into[at : at + len(part)] = part
            at += len(part)
