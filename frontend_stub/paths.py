"""Paths within a share: from the user's text to the names that Twalk carries."""

from __future__ import annotations

import errno
import os

Path = str | bytes
"""Slash-separated names below the share's root; a leading slash means nothing."""

NAME_MAX = 255


def components(path: Path) -> tuple[bytes, ...]:
    """The names of ``path``; ``.`` and empty ones are left out, ``..`` goes to the server.

    Raises ``OSError``: EINVAL for a NUL, ENAMETOOLONG for a name of more than 255 bytes.
    """
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise OSError(errno.EINVAL, "a name cannot contain a NUL byte", shown(path))
    names = tuple(name for name in raw.split(b"/") if name not in (b"", b"."))
    if any(len(name) > NAME_MAX for name in names):
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), shown(path))
    return names


def split(path: Path) -> tuple[tuple[bytes, ...], bytes]:
    """The names of the parent directory, and the last name.

    Raises ``OSError`` (EINVAL) where there is no last name: the root, or ``..`` at the end.
    """
    names = components(path)
    if not names or names[-1] == b"..":
        raise OSError(errno.EINVAL, "a name is needed, not the root or '..'", shown(path))
    return names[:-1], names[-1]


def shown(path: Path) -> str:
    """The path for a message."""
    return os.fsdecode(path)
