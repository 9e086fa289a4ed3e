"""Which fids a request may change: one line for each message that makes, changes or ends one."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from protocol.ninep import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Message

_FIDS: Final[Mapping[type[Message], Callable[[Any], tuple[Fid, ...]]]] = MappingProxyType(
    {
        m.Tattach: lambda request: (request.fid,),
        m.Twalk: lambda request: (request.newfid,),
        m.Tclunk: lambda request: (request.fid,),
        m.Tremove: lambda request: (request.fid,),
        m.Tlopen: lambda request: (request.fid,),
        m.Tlcreate: lambda request: (request.fid,),
        m.Txattrwalk: lambda request: (request.newfid,),
        m.Txattrcreate: lambda request: (request.fid,),
        m.Topen: lambda request: (request.fid,),
        m.Tcreate: lambda request: (request.fid,),
        m.Twrite: lambda request: (request.fid,),  # of an attribute's value
    }
)


def touched(request: Message, known: Iterable[Fid]) -> tuple[Fid, ...]:
    """The fids that ``request`` may change; of Tversion all that are ``known``."""
    fids = _FIDS.get(type(request))
    if fids is not None:
        return fids(request)
    return tuple(known) if type(request) is m.Tversion else ()
