"""The two dialects: their version strings and which requests each of them has."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from protocol.ninep.messages import DOTL_REQUESTS, DOTU_REQUESTS

if TYPE_CHECKING:
    from protocol.ninep.messages import Request


class Dialect(Enum):
    """What Tversion settles; the value is the version string as it crosses the wire."""

    DOTL = b"9P2000.L"
    DOTU = b"9P2000.u"

    @property
    def requests(self) -> frozenset[type[Request]]:
        """The request messages of this dialect; any other is answered EOPNOTSUPP."""
        return _REQUESTS[self]


VERSION_UNKNOWN = b"unknown"
"""The version of an Rversion when the server speaks nothing the client asked for, version(5)."""

_REQUESTS: dict[Dialect, frozenset[type[Request]]] = {
    Dialect.DOTL: DOTL_REQUESTS,
    Dialect.DOTU: DOTU_REQUESTS,
}
