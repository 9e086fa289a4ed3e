"""From any exception to the errno, and the error reply, that the guest gets."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from protocol.ninep.dialects import Dialect
from protocol.ninep.errors import ProtocolError
from protocol.ninep.messages import Rerror, Rlerror

if TYPE_CHECKING:
    from protocol.ninep.ids import Tag

MAX_ENAME: Final = 128
"""Linux drops an Rerror whose text is longer (net/9p/client.c sizes the buffer for it)."""


def errno_of(error: BaseException) -> int:
    """The Linux errno for ``error``: total, and EIO for whatever it does not know.

    ``OSError`` keeps its errno where Linux has that number; a malformed message is EPROTO, memory
    that is not to be had ENOMEM.
    """
    if isinstance(error, OSError):
        number = error.errno
        return number if number is not None and number in errno.errorcode else errno.EIO
    if isinstance(error, ProtocolError):
        return errno.EPROTO
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    return errno.EIO


def ename(number: int) -> bytes:
    """The errno in words, as 9P2000.u wants it: at most ``MAX_ENAME`` bytes."""
    return os.strerror(number).encode("ascii", "replace")[:MAX_ENAME]


def error_reply(dialect: Dialect | None, tag: Tag, number: int) -> Rlerror | Rerror:
    """The reply that fails the request ``tag`` with the errno ``number``.

    Before Tversion has settled the dialect it is an Rlerror: no client expects an error there.
    """
    if dialect is Dialect.DOTU:
        return Rerror(tag, ename(number), number)
    return Rlerror(tag, number)
