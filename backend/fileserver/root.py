"""The root of an export: opening it, with clear errors, and the proof of being below it."""

from __future__ import annotations

import errno
import os
from typing import Final

from backend.fileserver.names import DOT_DOT

MAX_CLIMB: Final = 2048
"""Levels climbed in search of the root: no path (``PATH_MAX`` is 4096) names anything deeper, but
a guest can make deeper trees with mkdir, one level at a time."""

PIN: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
PIN_DIRECTORY: Final = PIN | os.O_DIRECTORY


def open_root(path: str) -> int:
    """An ``O_PATH`` descriptor of the directory ``path``, which is the administrator's: links in it
    are followed.

    Raises ``OSError`` that names the path: ENOENT, ENOTDIR, EACCES (it could not be listed),
    EINVAL (NUL in it).
    """
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # O_PATH asks for no permission on the directory itself; serving it needs r and x.
            os.close(os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd))
        except OSError:
            os.close(fd)
            raise
    except OSError as error:
        raise OSError(error.errno, f"export path {path}: {error.strerror}") from None
    except ValueError as error:
        raise OSError(errno.EINVAL, f"export path {path!r}: {error}") from None
    return fd


def check_beneath(directory_fd: int, root: tuple[int, int]) -> None:
    """Climb from a directory until ``root`` (device and inode) is met: it is beneath, or the same.

    Raises ``OSError``: EACCES where the climb ends elsewhere (Dom0 moved a directory out of the
    export while a guest stood in it), ENAMETOOLONG after ``MAX_CLIMB`` levels.
    """
    fd = os.dup(directory_fd)
    try:
        key = file_key(fd)
        for _ in range(MAX_CLIMB):
            if key == root:
                return
            above = os.open(DOT_DOT, PIN_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = above
            last, key = key, file_key(fd)
            if key == last:
                raise OSError(errno.EACCES, "the directory above is outside the export")
    finally:
        os.close(fd)
    raise OSError(errno.ENAMETOOLONG, f"more than {MAX_CLIMB} levels below the root")


def file_key(fd: int) -> tuple[int, int]:
    """What tells one file of this host from all others: device and inode."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
