"""The handlers' client of the model-based tests, whose requests go through a device."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from protocol.ninep import messages as m
from protocol.ninep.directory import decode_entries
from protocol.ninep.ids import NOFID
from tests.backend.fileserver.client import NO_ID, ROOT, TAG
from tests.backend.fileserver.client import Client as HandlersClient

if TYPE_CHECKING:
    from frontend_stub.client import Client
    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Dirent


def reply_to(request: m.Message) -> type[m.Message]:
    """The type of the reply."""
    found: type[m.Message] = getattr(m, "R" + type(request).__name__[1:])
    return found


class WireClient(HandlersClient):
    """One session over ``wire``, which it owns."""

    def __init__(self, wire: Client) -> None:
        self._wire = wire
        self._fids = itertools.count(1)

    def close(self) -> None:
        self._wire.close()

    def mount(self, n_uname: int = NO_ID) -> None:
        self.call(m.Tattach(TAG, ROOT, NOFID, b"", b"", n_uname))

    def call(self, request: Any) -> Any:
        return self._wire.call(lambda tag: request._replace(tag=tag), reply_to(request))

    def read(self, fid: Fid, count: int, offset: int = 0, *, split: int = 0) -> bytes:
        del split  # the ring's end is where it is
        return self._fetch(m.Tread(TAG, fid, offset, count), m.Rread)

    def write(self, fid: Fid, data: bytes, offset: int = 0, *, split: int = 0) -> int:
        del split
        count = len(data)
        pending = self._wire.submit(
            lambda tag: m.Twrite(tag, fid, offset, count), m.Rwrite, payload=(data,)
        )
        return self._wire.wait(pending).count

    def readdir(self, fid: Fid, offset: int = 0, room: int = 1 << 16) -> list[Dirent]:
        return decode_entries(self._fetch(m.Treaddir(TAG, fid, offset, room), m.Rreaddir))

    def _fetch(self, request: m.Tread | m.Treaddir, expected: type[Any]) -> bytes:
        data = bytearray()

        def collect(slices: Any) -> None:
            for part in slices:
                data.extend(part)

        pending = self._wire.submit(
            lambda tag: request._replace(tag=tag), expected, sink=collect, room=request.count
        )
        self._wire.wait(pending)
        return bytes(data)
