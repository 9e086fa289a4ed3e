"""The one check of a name that a guest sent, before it goes near a system call."""

from __future__ import annotations

import errno
from typing import Final

NAME_MAX: Final = 255
"""Bytes in one name: ``NAME_MAX`` of Linux, whose file systems allow no more."""

DOT: Final = b"."
DOT_DOT: Final = b".."


def check_name(name: bytes) -> None:
    """Let a plain name of one directory entry pass: any bytes but ``/`` and NUL, at most 255.

    Raises ``OSError``: ENOENT for the empty name (as the kernel does), ENAMETOOLONG, EINVAL for
    ``/``, NUL, ``.`` and ``..`` (to Twalk alone they mean something, and it looks for them first).
    """
    if len(name) > NAME_MAX:
        raise OSError(errno.ENAMETOOLONG, f"a name of {len(name)} bytes: {NAME_MAX} is the most")
    if b"/" in name or b"\0" in name:
        raise OSError(errno.EINVAL, f"a name must hold neither '/' nor NUL: {name!r}")
    if name in _DOTS:
        if not name:
            raise OSError(errno.ENOENT, "an empty name")
        raise OSError(errno.EINVAL, f"{name!r} names no entry of a directory")


_DOTS: Final = frozenset((b"", DOT, DOT_DOT))
