"""The payload of an Rreaddir, of entries that come one by one."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NoReturn

from protocol.ninep.directory import ENTRY_SIZE, encode_entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.ninep.messages import Dirent


def pack(entries: Iterable[Dirent], room: int) -> bytes:
    """Whole entries, as many as fit ``room`` bytes; b"" when there are none.

    Raises ``OSError``: EINVAL when not even one fits; what ``entries`` raises, unless some came
    before: those are good, and the client will come for the rest.
    """
    parts: list[bytes] = []
    left = room
    try:
        for entry in entries:
            left -= ENTRY_SIZE + len(entry.name)
            if left < 0:
                if not parts:
                    refuse_room(room)
                break
            parts.append(encode_entry(*entry))
    except OSError:
        if not parts:
            raise
    return b"".join(parts)


def refuse_room(room: int) -> NoReturn:
    """Entries are left, but not even one fits: EINVAL, as getdents(2) says."""
    raise OSError(errno.EINVAL, f"{room} bytes are too few for an entry")
