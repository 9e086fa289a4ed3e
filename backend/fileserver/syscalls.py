"""The system calls that ``os`` does not have: all that is unsafe about them is in this file.

Through cffi's ABI mode: the C library that the interpreter runs on is asked, nothing is compiled.
Each function takes and gives Python values only, and raises ``OSError`` with the call's errno.
"""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple

from cffi import FFI

UTIME_NOW: Final = (1 << 30) - 1
"""In place of nanoseconds: the current time (``<linux/stat.h>``, utimensat(2))."""

UTIME_OMIT: Final = (1 << 30) - 2
"""In place of nanoseconds: leave this time as it is."""

_ffi = FFI()
# ``long`` is what timespec holds wherever Xen has a 64-bit Dom0; getdents64(3) is glibc 2.30.
_ffi.cdef(
    """
    struct timespec { long tv_sec; long tv_nsec; };
    int utimensat(int dirfd, const char *path, const struct timespec times[2], int flags);
    ssize_t getdents64(int fd, void *buffer, size_t length);
    """
)
_libc: Any = _ffi.dlopen(None)


class Timespec(NamedTuple):
    """A time as utimensat(2) takes it; ``nsec`` below 10**9, or UTIME_NOW, or UTIME_OMIT."""

    sec: int
    nsec: int


OMIT: Final = Timespec(0, UTIME_OMIT)
NOW: Final = Timespec(0, UTIME_NOW)


def utimensat(path: bytes, atime: Timespec, mtime: Timespec, *, dir_fd: int) -> None:
    """Set times to the nanosecond; ``path`` is followed, which ``os.utime`` can, but not omit one.

    ``sec`` must fit 64 bits with sign, ``path`` must be free of NUL.
    """
    if _libc.utimensat(dir_fd, path, [tuple(atime), tuple(mtime)], 0) < 0:
        raise _error()


def getdents64(fd: int, length: int) -> bytes:
    """The next entries of a directory: at most ``length`` bytes of ``struct linux_dirent64``.

    b"" at its end.

    Raises ``OSError``: EINVAL where not even one entry fits, ENOTDIR, EBADF.
    """
    buffer = bytearray(length)
    with _ffi.from_buffer(buffer) as pointer:
        filled = _libc.getdents64(fd, pointer, length)
        if filled < 0:
            raise _error()
    return bytes(memoryview(buffer)[:filled])


def _error() -> OSError:
    number = _ffi.errno
    return OSError(number, os.strerror(number))
