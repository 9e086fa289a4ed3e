"""From any exception to the errno, and the error reply, that the guest gets."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from protocol.ninep.dialects import Dialect
from protocol.ninep.errors import ProtocolError
from protocol.ninep.messages import Rerror, Rlerror

if TYPE_CHECKING:
    from protocol.ninep.ids import Tag

MAX_ENAME: Final = 128
"""Linux drops an Rerror whose text is longer (net/9p/client.c sizes the buffer for it)."""

_ENAMES: Final = {
    errno.E2BIG: b"value too large",
    errno.EACCES: b"permission denied",
    errno.EAGAIN: b"try again",
    errno.EBADF: b"fid unknown or not open for this",
    errno.EBUSY: b"file in use",
    errno.EDEADLK: b"deadlock avoided",
    errno.EDQUOT: b"quota exceeded",
    errno.EEXIST: b"file exists",
    errno.EFBIG: b"file too large",
    errno.EINTR: b"interrupted",
    errno.EINVAL: b"invalid argument",
    errno.EIO: b"input/output error",
    errno.EISDIR: b"is a directory",
    errno.ELOOP: b"too many symbolic links",
    errno.EMFILE: b"too many open files",
    errno.EMLINK: b"too many links",
    errno.EMSGSIZE: b"message too large",
    errno.ENAMETOOLONG: b"file name too long",
    errno.ENFILE: b"too many open files in the system",
    errno.ENODATA: b"no such attribute",
    errno.ENODEV: b"no such device",
    errno.ENOENT: b"file not found",
    errno.ENOLCK: b"no locks available",
    errno.ENOMEM: b"out of memory",
    errno.ENOSPC: b"no space left",
    errno.ENOSYS: b"not implemented",
    errno.ENOTDIR: b"not a directory",
    errno.ENOTEMPTY: b"directory not empty",
    errno.ENXIO: b"not a regular file or directory",
    errno.EOPNOTSUPP: b"not supported",
    errno.EOVERFLOW: b"value out of range",
    errno.EPERM: b"not permitted",
    errno.EPROTO: b"malformed message",
    errno.ERANGE: b"name or result too long",
    errno.EROFS: b"file system is read-only",
    errno.ESTALE: b"file is gone",
    errno.ETXTBSY: b"file is being executed",
    errno.EUSERS: b"too many users",
    errno.EXDEV: b"not on the same file system",
}


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
    """The errno in words, as 9P2000.u wants it, or its symbol where we have no words for it.

    At most ``MAX_ENAME`` bytes, and the same on every libc and in every locale.
    """
    return _ENAMES.get(number) or errno.errorcode.get(number, "EIO").encode("ascii")


def error_reply(dialect: Dialect | None, tag: Tag, number: int) -> Rlerror | Rerror:
    """The reply that fails the request ``tag`` with the errno ``number``.

    Before Tversion has settled the dialect it is an Rlerror: no client expects an error there.
    """
    if dialect is Dialect.DOTU:
        return Rerror(tag, ename(number), number)
    return Rlerror(tag, number)
