"""The entries of a directory: in Rreaddir's payload, and in Rread's in 9P2000.u."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from protocol.ninep.errors import ProtocolError
from protocol.ninep.messages import Dirent, Qid
from protocol.ninep.unchecked import unchecked
from protocol.ninep.wire import pack_stat, read_stat

if TYPE_CHECKING:
    from protocol.ninep.messages import Stat

ENTRY: Final = struct.Struct("<BIQQBH")
"""A Dirent without its name: ``qid[13] offset[8] type[1]`` and the name's length."""

ENTRY_SIZE: Final = ENTRY.size
"""Bytes of a Dirent without its name."""

_TYPE_AT: Final = 21
_LENGTH_AT: Final = 22

_unpack_entry = ENTRY.unpack_from


def encode_entry(qid: Qid, offset: int, type: int, name: bytes) -> bytes:  # noqa: A002 -- 9P's
    """One entry of an Rreaddir: ``qid[13] offset[8] type[1] name[s]``.

    ``offset`` is the cookie that a Treaddir must give to go on after this entry.  Raises
    ``ValueError`` where a value does not fit.
    """
    try:
        return ENTRY.pack(*qid, offset, type, len(name)) + name
    except (struct.error, TypeError) as error:
        raise ValueError(f"directory entry cannot be packed: {error}") from None


def decode_entries(data: bytes) -> list[Dirent]:
    """The entries of an Rreaddir.  Raises ``ProtocolError`` unless ``data`` is whole entries."""
    entries = []
    at = 0
    end = len(data)
    try:
        # One loop without a call of ours per entry: a directory may have 100,000.
        while at < end:
            kind, version, path, offset, entry_type, length = _unpack_entry(data, at)
            start = at + ENTRY_SIZE
            at = start + length
            qid = unchecked(Qid, (kind, version, path))
            entries.append(unchecked(Dirent, (qid, offset, entry_type, data[start:at])))
    except struct.error:
        raise ProtocolError("directory entry cut short") from None
    _check_end(at, end)
    return entries


def retype_entries(data: bytes, old: int, new: int) -> bytes:
    """The same entries of an Rreaddir, with the type ``new`` wherever it was ``old``.

    ``data`` is whole entries, which whoever packed them answers for.
    """
    changed = bytearray(data)
    at = 0
    end = len(data)
    while at < end:
        if changed[at + _TYPE_AT] == old:
            changed[at + _TYPE_AT] = new
        at += ENTRY_SIZE + changed[at + _LENGTH_AT] + (changed[at + _LENGTH_AT + 1] << 8)
    return bytes(changed)


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
    entries = []
    at = 0
    try:
        while at < len(data):
            entry, at = read_stat(data, at)
            entries.append(entry)
    except struct.error:
        raise ProtocolError("directory entry cut short") from None
    except ProtocolError as error:
        raise ProtocolError(error.reason) from None
    _check_end(at, len(data))
    return entries


def _check_end(at: int, end: int) -> None:
    if at != end:
        raise ProtocolError("directory entry cut short")
