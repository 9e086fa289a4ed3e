"""Extended attributes of Dom0's inodes: the ``user.`` ones, and no others.

The other namespaces steer Dom0's kernel (``security.capability``, POSIX ACLs, ``trusted.``): a
guest neither sees nor sets them.  To read one is answered "not supported" without a system call,
because Linux 6.12 asks for ``security.capability`` before every write(2); and because ``ls -l``,
which asks for ACLs, asks no more on that file system when it hears that there never are any.

Only regular files and directories have user attributes (xattr(7)).  ``proc`` is a descriptor of
/proc/self/fd, through which a node is opened for the one call that an ``O_PATH`` descriptor does
not take (f*xattr): not by a path, because the worker may have given up its view of /proc by now.
Each function raises ``OSError``: what open(2) and the call say.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.fileserver.files import Node

_NAMESPACE: Final = b"user."

_BEARERS: Final = (stat.S_IFREG, stat.S_IFDIR)
"""Kinds that have user attributes; nothing else is opened for real either."""


def get(proc: int, node: Node, name: bytes) -> bytes:
    """A value.  Raises ``OSError``: ENODATA where there is none, EOPNOTSUPP for other names."""
    if not name.startswith(_NAMESPACE):
        raise OSError(errno.EOPNOTSUPP, "only user attributes are served")
    if node.kind not in _BEARERS:
        raise OSError(errno.ENODATA, "neither a regular file nor a directory")
    with _opened(proc, node, os.O_RDONLY) as fd:
        return os.getxattr(fd, name)


def values(proc: int, node: Node, names: Sequence[bytes]) -> list[bytes | None]:
    """Several values, ``None`` for each that there is none of."""
    if node.kind not in _BEARERS:
        return [None] * len(names)
    with _opened(proc, node, os.O_RDONLY) as fd:
        return [_value(fd, name) for name in names]


def names(proc: int, node: Node) -> list[bytes]:
    """The names.  Raises ``OSError``: EOPNOTSUPP where the file system has none, E2BIG."""
    if node.kind not in _BEARERS:
        return []
    with _opened(proc, node, os.O_RDONLY) as fd:
        return [name for name in map(os.fsencode, os.listxattr(fd)) if name.startswith(_NAMESPACE)]


def put(proc: int, node: Node, name: bytes, value: bytes, flags: int) -> None:
    """Set one.  Raises ``OSError`` EOPNOTSUPP for what a guest must not set."""
    _check_writable(name)
    with _opened(proc, node, os.O_WRONLY) as fd:
        os.setxattr(fd, name, value, flags)


def remove(proc: int, node: Node, name: bytes) -> None:
    """Remove one.  Raises ``OSError`` as ``put``, ENODATA."""
    _check_writable(name)
    with _opened(proc, node, os.O_WRONLY) as fd:
        os.removexattr(fd, name)


@contextmanager
def _opened(proc: int, node: Node, access: int) -> Iterator[int]:
    """``access`` asks for the permission that the call would ask for.

    Raises ``OSError``: EPERM for what may not be opened for real.
    """
    if node.kind == stat.S_IFDIR:
        access = os.O_RDONLY | os.O_DIRECTORY
    elif node.kind != stat.S_IFREG:
        raise OSError(errno.EPERM, "neither a regular file nor a directory")
    fd = os.open(b"%d" % node.fd, access | os.O_CLOEXEC, dir_fd=proc)
    try:
        yield fd
    finally:
        os.close(fd)


def _value(fd: int, name: bytes) -> bytes | None:
    if not name.startswith(_NAMESPACE):
        return None
    try:
        return os.getxattr(fd, name)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise


def _check_writable(name: bytes) -> None:
    if not name.startswith(_NAMESPACE):
        raise OSError(errno.EOPNOTSUPP, "only user attributes are served")
