"""Links and special files: names that are more, or less, than a regular file's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from frontend_stub.paths import components, shown, split
from protocol.ninep.messages import (
    Rlink,
    Rmknod,
    Rreadlink,
    Rsymlink,
    Tlink,
    Tmknod,
    Treadlink,
    Tsymlink,
)

if TYPE_CHECKING:
    from frontend_stub.client import Client
    from frontend_stub.paths import Path
    from frontend_stub.walking import Walker


def symlink(client: Client, walker: Walker, target: Path, path: Path) -> None:
    """Make ``path`` a symbolic link to ``target``."""
    parent, name = split(path)
    with walker.walked(parent, path) as fid:
        client.call(
            lambda tag: Tsymlink(tag, fid, name, os.fsencode(target), os.getegid()),
            Rsymlink,
            shown(path),
        )


def readlink(client: Client, walker: Walker, path: Path) -> str:
    """Where the symbolic link ``path`` points."""
    with walker.walked(components(path), path) as fid:
        reply = client.call(lambda tag: Treadlink(tag, fid), Rreadlink, shown(path))
    return os.fsdecode(reply.target)


def mknod(client: Client, walker: Walker, path: Path, mode: int, device: int) -> None:
    """Make a FIFO, socket, device or regular file, as ``mode`` says."""
    parent, name = split(path)
    major, minor = os.major(device), os.minor(device)
    with walker.walked(parent, path) as fid:
        client.call(
            lambda tag: Tmknod(tag, fid, name, mode, major, minor, os.getegid()),
            Rmknod,
            shown(path),
        )


def link(client: Client, walker: Walker, old: Path, new: Path) -> None:
    """Give the file ``old`` one more name."""
    parent, name = split(new)
    both = f"{shown(old)} -> {shown(new)}"
    with walker.walked(components(old), old) as fid, walker.walked(parent, new) as directory:
        client.call(lambda tag: Tlink(tag, directory, fid, name), Rlink, both)
