"""This side's files: where ``get`` puts what it received, and what ``put`` reads."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD: Final = "-"
"""The name of standard input and output."""

_PIPE_BYTES: Final = 1 << 20
"""The largest pipe an ordinary user may have (``/proc/sys/fs/pipe-max-size``)."""


@contextmanager
def source(path: str) -> Iterator[int]:
    """A descriptor to read ``path`` from; ``-`` is standard input."""
    if path == STANDARD:
        widen(0)
        yield 0
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise IsADirectoryError(21, os.strerror(21), path)
        widen(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def target(path: str) -> Iterator[int]:
    """A descriptor to write what becomes ``path``.

    A regular file appears under its name only when the block has ended without an exception, and
    is on disk then; until that it has a temporary name beside it.  Anything else that is there
    (a pipe, a device) is written to as it is; ``-`` is standard output.
    """
    if path == STANDARD:
        widen(1)
        yield 1
        return
    path = os.path.realpath(path)  # a link stays, and what it points to is replaced
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG | (0o666 & ~_umask())
    if not stat.S_ISREG(mode):
        yield from _as_it_is(path)
    else:
        yield from _replaced(path, stat.S_IMODE(mode))


def _as_it_is(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        widen(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _replaced(path: str, mode: int) -> Iterator[int]:
    directory, name = os.path.split(path)
    try:
        descriptor, temporary = tempfile.mkstemp(".part", f".{name[:200]}.", directory)
    except OSError as error:
        raise OSError(error.errno, error.strerror, directory) from error
    try:
        yield descriptor
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


@contextmanager
def named(path: str) -> Iterator[None]:
    """Give failures of system calls on descriptors the name that they lack."""
    try:
        yield
    except BrokenPipeError:
        raise  # of standard output; that is no failure worth a message
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), path) from error
        raise


def is_regular(descriptor: int) -> bool:
    """Whether the descriptor is a regular file: one with a size and positions."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def write_all(descriptor: int, data: memoryview) -> None:
    """Write everything, at the descriptor's position."""
    while data:
        data = data[os.write(descriptor, data) :]


def widen(descriptor: int) -> None:
    """Let a pipe hold more, so that its two ends wait less often for each other."""
    with suppress(OSError):
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
