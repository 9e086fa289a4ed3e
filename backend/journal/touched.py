"""Which fid a request may change: one line for each message that makes, changes or ends one."""

from __future__ import annotations

from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from protocol.ninep import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Message

_FID: Final[Callable[[Any], Fid]] = attrgetter("fid")
_NEWFID: Final[Callable[[Any], Fid]] = attrgetter("newfid")

TOUCHED: Final[Mapping[type[Message], Callable[[Any], Fid]]] = MappingProxyType(
    {
        m.Tattach: _FID,
        m.Twalk: _NEWFID,
        m.Tclunk: _FID,
        m.Tremove: _FID,
        m.Tlopen: _FID,
        m.Tlcreate: _FID,
        m.Txattrwalk: _NEWFID,
        m.Txattrcreate: _FID,
        m.Topen: _FID,
        m.Tcreate: _FID,
        m.Twrite: _FID,  # of an attribute's value
    }
)
"""A Tversion ends all of them, which is not said here."""
