"""XenStore paths: what is valid, which is above which (Xen docs/misc/xenstore.txt)."""

from __future__ import annotations

import errno
import os
import re

ABS_PATH_MAX = 3072
REL_PATH_MAX = 2048
"""XENSTORE_ABS_PATH_MAX and XENSTORE_REL_PATH_MAX of xs_wire.h, in bytes."""

RELEASE_DOMAIN = "@releaseDomain"
INTRODUCE_DOMAIN = "@introduceDomain"

_CHARACTERS = re.compile(rb"[A-Za-z0-9/_@-]+", re.ASCII)
_LOCAL = re.compile(r"/local/domain/[0-9]{1,5}/")


def domain_path(domid: int) -> str:
    """Where a domain's relative paths begin."""
    return f"/local/domain/{domid}"


def canonical(raw: bytes, domid: int, *, special: bool = False) -> str:
    """The absolute form of a path as a client sent it.

    ``special`` allows ``@introduceDomain`` and its like.  Raises ``OSError`` EINVAL for any path
    outside the grammar or the limits.
    """
    if not _CHARACTERS.fullmatch(raw):
        raise invalid()
    path = raw.decode("ascii")
    if path[0] == "@":
        if not special:
            raise invalid()
    elif path[0] != "/":
        if len(path) > REL_PATH_MAX:
            raise invalid()
        path = f"{domain_path(domid)}/{path}"
    if "//" in path or (path[-1] == "/" and path != "/") or len(path) > ABS_PATH_MAX:
        raise invalid()
    return path


def own_length(path: str) -> int:
    """Length without ``/local/domain/N/``, which a domain did not choose."""
    local = _LOCAL.match(path)
    return len(path) - (local.end() if local else 0)


def parent(path: str) -> str:
    """The path one level up; of a special path, the root, as xenstored has it."""
    return path.rpartition("/")[0] or "/"


def name(path: str) -> str:
    """The last component."""
    return path[path.rfind("/") + 1 :]


def child(path: str, component: str) -> str:
    """The path of a node's child."""
    return f"/{component}" if path == "/" else f"{path}/{component}"


def with_ancestors(path: str) -> list[str]:
    """The path itself and all above it, nearest first; a special path has none above it."""
    found = [path]
    while path[0] == "/" and path != "/":
        path = parent(path)
        found.append(path)
    return found


def invalid() -> OSError:
    """What every malformed argument gets."""
    return OSError(errno.EINVAL, os.strerror(errno.EINVAL))
