"""Names taken away and changed, also on servers that know only the older messages for it.

Trenameat and Tunlinkat came to 9P2000.L late; where the server answers EOPNOTSUPP, Trename and
Tremove do it, as in Linux's client.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from frontend_stub.paths import components, shown, split
from protocol.ninep.flags import AT_REMOVEDIR
from protocol.ninep.messages import (
    Rremove,
    Rrename,
    Rrenameat,
    Runlinkat,
    Tremove,
    Trename,
    Trenameat,
    Tunlinkat,
)

if TYPE_CHECKING:
    from frontend_stub.client import Client
    from frontend_stub.paths import Path
    from frontend_stub.walking import Walker
    from protocol.ninep.ids import Fid


def rename(client: Client, walker: Walker, old: Path, new: Path) -> None:
    """Give ``old`` the name ``new``; a file of that name is replaced."""
    old_parent, old_name = split(old)
    new_parent, new_name = split(new)
    both = f"{shown(old)} -> {shown(new)}"
    with walker.walked(old_parent, old) as source, walker.walked(new_parent, new) as target:
        try:
            client.call(
                lambda tag: Trenameat(tag, source, old_name, target, new_name), Rrenameat, both
            )
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            with walker.walked((*old_parent, old_name), old) as fid:
                client.call(lambda tag: Trename(tag, fid, target, new_name), Rrename, both)


def rename_fid(client: Client, walker: Walker, fid: Fid, old: Path, new: Path) -> None:
    """Give the file ``fid``, which was opened as ``old``, the name ``new``."""
    parent, name = split(new)
    both = f"{shown(old)} -> {shown(new)}"
    with walker.walked(parent, new) as target:
        client.call(lambda tag: Trename(tag, fid, target, name), Rrename, both)


def unlink(client: Client, walker: Walker, path: Path, *, directory: bool = False) -> None:
    """Remove a file or, with ``directory``, an empty directory."""
    parent, name = split(path)
    flags = AT_REMOVEDIR if directory else 0
    try:
        with walker.walked(parent, path) as fid:
            client.call(lambda tag: Tunlinkat(tag, fid, name, flags), Runlinkat, shown(path))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        _remove(client, walker, path, directory=directory)


def _remove(client: Client, walker: Walker, path: Path, *, directory: bool) -> None:
    """By Tremove, which does not ask what it removes: so we do."""
    names = components(path)
    with walker.walked(names, path) as fid:
        is_directory = walker.getattr(fid, path).is_directory
    if directory is not is_directory:
        number = errno.ENOTDIR if directory else errno.EISDIR
        raise OSError(number, os.strerror(number), shown(path))
    doomed = walker.walk(names, path)
    try:
        client.call(lambda tag: Tremove(tag, doomed), Rremove, shown(path))
    finally:
        # The fid is gone whether or not the file is, remove(5).
        client.fids.give_back(doomed)
