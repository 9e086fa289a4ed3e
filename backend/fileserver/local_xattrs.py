"""Extended attributes of an open inode: the ``user.`` ones, and no others.

The other namespaces steer Dom0's kernel (``security.capability``, POSIX ACLs, ``trusted.``): a
guest neither sees nor sets them.  To read one is answered "no such attribute" without a system
call, because Linux 6.12 asks for ``security.capability`` before every write(2).

Only regular files and directories have user attributes (xattr(7)).
"""

from __future__ import annotations

import errno
import os
from typing import Final

NAMESPACE: Final = b"user."


def check_readable(name: bytes) -> None:
    """Raises ``OSError`` ENODATA for what a guest does not see."""
    if not name.startswith(NAMESPACE):
        raise OSError(errno.ENODATA, "only user attributes are served")


def check_writable(name: bytes) -> None:
    """Raises ``OSError`` EOPNOTSUPP for what a guest must not set."""
    if not name.startswith(NAMESPACE):
        raise OSError(errno.EOPNOTSUPP, "only user attributes are served")


def value(fd: int, name: bytes) -> bytes | None:
    """A value, ``None`` where there is none.  Raises ``OSError``: EOPNOTSUPP..."""
    try:
        check_readable(name)
        return os.getxattr(fd, name)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise


def names(fd: int) -> list[bytes]:
    """The names.  Raises ``OSError``: EOPNOTSUPP where the file system has none, E2BIG."""
    return [name for name in map(os.fsencode, os.listxattr(fd)) if name.startswith(NAMESPACE)]
