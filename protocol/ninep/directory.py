"""The entries of a directory: in Rreaddir's payload, and in Rread's in 9P2000.u."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from protocol.ninep.errors import ProtocolError
from protocol.ninep.messages import Dirent, Qid, Stat
from protocol.ninep.wire import pack_stat, read_stat

if TYPE_CHECKING:
    from collections.abc import Callable

_ENTRY = struct.Struct("<BIQQBH")

ENTRY_SIZE: Final = _ENTRY.size
"""Bytes of a Dirent without its name."""


def encode_entry(qid: Qid, offset: int, type: int, name: bytes) -> bytes:  # noqa: A002 -- 9P's
    """One entry of an Rreaddir: ``qid[13] offset[8] type[1] name[s]``.

    ``offset`` is the cookie that a Treaddir must give to go on after this entry.  Raises
    ``ValueError`` where a value does not fit.
    """
    try:
        return _ENTRY.pack(*qid, offset, type, len(name)) + name
    except (struct.error, TypeError) as error:
        raise ValueError(f"directory entry cannot be packed: {error}") from None


def decode_entries(data: bytes) -> list[Dirent]:
    """The entries of an Rreaddir.  Raises ``ProtocolError`` unless ``data`` is whole entries."""
    return _all(data, _read_entry)


def encode_stat(stat: Stat) -> bytes:
    """One entry of a directory as 9P2000.u reads it, with its size[2].

    Raises ``ValueError`` where a value does not fit.
    """
    try:
        return pack_stat(stat)
    except (struct.error, TypeError, ValueError) as error:
        raise ValueError(f"stat cannot be packed: {error}") from None


def decode_stats(data: bytes) -> list[Stat]:
    """The entries of a 9P2000.u directory.  Raises ``ProtocolError`` unless they are whole."""
    return _all(data, read_stat)


def _read_entry(data: bytes, at: int) -> tuple[Dirent, int]:
    kind, version, path, offset, entry_type, length = _ENTRY.unpack_from(data, at)
    start = at + ENTRY_SIZE
    name = data[start : start + length]
    return Dirent(Qid(kind, version, path), offset, entry_type, name), start + length


def _all(data: bytes, read: Callable[[bytes, int], tuple[Any, int]]) -> list[Any]:
    entries = []
    at = 0
    try:
        while at < len(data):
            entry, at = read(data, at)
            entries.append(entry)
    except struct.error:
        raise ProtocolError("directory entry cut short") from None
    except ProtocolError as error:
        raise ProtocolError(error.reason) from None
    if at != len(data):
        raise ProtocolError("directory entry cut short")
    return entries
