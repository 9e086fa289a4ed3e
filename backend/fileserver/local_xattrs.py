"""Extended attributes of a pinned inode: the ``user.`` ones, and no others.

The other namespaces steer Dom0's kernel (``security.capability``, POSIX ACLs, ``trusted.``): a
guest neither sees nor sets them.  To read one is answered "no such attribute" without a system
call, because Linux 6.12 asks for ``security.capability`` before every write(2).

An ``O_PATH`` descriptor takes no f*xattr call, and there is no fd-relative one before Linux 6.13;
``/proc/self/fd/N`` leads to the very inode that the descriptor pins.
"""

from __future__ import annotations

import errno
import os
from typing import Final

NAMESPACE: Final = b"user."


def get(fd: int, name: bytes) -> bytes:
    """A value.  Raises ``OSError``: ENODATA; EOPNOTSUPP where the file system has none."""
    if not name.startswith(NAMESPACE):
        raise OSError(errno.ENODATA, "only user attributes are served")
    return os.getxattr(_path(fd), _checked(name))


def names(fd: int) -> list[bytes]:
    """The names.  Raises ``OSError``: EOPNOTSUPP where the file system has none."""
    return [
        name for name in map(os.fsencode, os.listxattr(_path(fd))) if name.startswith(NAMESPACE)
    ]


def set_value(fd: int, name: bytes, value: bytes, flags: int) -> None:
    """Set one.  Raises ``OSError``: EOPNOTSUPP for another namespace, EEXIST, ENODATA, ENOSPC..."""
    os.setxattr(_path(fd), _checked(name), value, flags)


def remove(fd: int, name: bytes) -> None:
    """Remove one.  Raises ``OSError``: EOPNOTSUPP for another namespace, ENODATA."""
    os.removexattr(_path(fd), _checked(name))


def _checked(name: bytes) -> bytes:
    if not name.startswith(NAMESPACE):
        raise OSError(errno.EOPNOTSUPP, "only user attributes are served")
    if b"\0" in name:
        raise OSError(errno.EINVAL, "a name must not hold NUL")
    return name


def _path(fd: int) -> bytes:
    return b"/proc/self/fd/%d" % fd
