"""Extended attributes: each is read and written as a file of its own, as in Linux's client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from frontend_stub.file import File
from frontend_stub.paths import components, shown
from protocol.ninep.flags import XATTR_REPLACE
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Qid, Rxattrcreate, Rxattrwalk, Txattrcreate, Txattrwalk

if TYPE_CHECKING:
    from frontend_stub.client import Client
    from frontend_stub.paths import Path
    from frontend_stub.walking import Walker

_NO_QID: Final = Qid(0, 0, 0)
"""An attribute is no file of the tree."""


def get(client: Client, walker: Walker, path: Path, name: bytes) -> bytes:
    """The value of the attribute ``name`` of ``path``; for the empty name, all names."""
    with walker.walked(components(path), path) as fid:
        newfid = Fid(client.fids.take())
        try:
            reply = client.call(
                lambda tag: Txattrwalk(tag, fid, newfid, name), Rxattrwalk, shown(path)
            )
        except BaseException:
            client.fids.give_back(newfid)
            raise
    with File(client, newfid, shown(path), _NO_QID, 0) as attribute:
        return attribute.pread(reply.size, 0)


def names(client: Client, walker: Walker, path: Path) -> list[str]:
    """The names of the attributes of ``path``, sorted."""
    return sorted(os.fsdecode(name) for name in get(client, walker, path, b"").split(b"\0") if name)


def set_value(
    client: Client, walker: Walker, path: Path, name: bytes, value: bytes, *, flags: int
) -> None:
    """Set an attribute; whether that went well is told when its fid is clunked."""
    fid = walker.walk(components(path), path)
    try:
        client.call(
            lambda tag: Txattrcreate(tag, fid, name, len(value), flags), Rxattrcreate, shown(path)
        )
    except BaseException:
        walker.clunk(fid)
        raise
    with File(client, fid, shown(path), _NO_QID, 0) as attribute:
        attribute.pwrite(value, 0)


def remove(client: Client, walker: Walker, path: Path, name: bytes) -> None:
    """Remove an attribute: to replace it with nothing is how the protocol says so."""
    set_value(client, walker, path, name, b"", flags=XATTR_REPLACE)
