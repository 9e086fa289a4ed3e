"""What QEMU has on disk of files that a guest made, and what the guest sees of it."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

from backend.fileserver.files import Device, Owner
from protocol.ninep.flags import QTDIR, QTFILE, QTSYMLINK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backend.fileserver.files import Node
    from backend.fileserver.qids import Status
    from backend.fileserver.tree import Tree
    from tests.backend.fileserver.holder import Holder

    Make = Callable[[Tree, Node], object]


OWNER = Owner(1000, 1001)
FORMS = {"uid": "<I", "gid": "<I", "mode": "<I", "rdev": "<Q"}
NO_DEVICE = Device(0, 0)


def store(path: Path, **numbers: int) -> None:
    """Give a file attributes as QEMU does: ``store(path, uid=7, mode=stat.S_IFREG | 0o644)``."""
    for name, number in numbers.items():
        os.setxattr(path, f"user.virtfs.{name}", struct.pack(FORMS[name], number))


def stored(path: Path) -> dict[str, int]:
    """All attributes of a file, which must be QEMU's."""
    found = {}
    for attribute in os.listxattr(path, follow_symlinks=False):
        name = attribute.removeprefix("user.virtfs.")
        (found[name],) = struct.unpack(FORMS[name], os.getxattr(path, attribute))
    return found


def shown(held: Holder, *names: bytes) -> Status:
    """What the guest sees; that the node and both qids agree on the kind."""
    node = held.lookup(*names)
    qid, status = held.tree.getattr(node)
    assert stat.S_IFMT(status.st_mode) == node.kind
    assert (qid.type, qid.path) == (node.qid.type, node.qid.path)
    types = {stat.S_IFDIR: QTDIR, stat.S_IFLNK: QTSYMLINK}
    assert qid.type == types.get(node.kind, QTFILE)
    assert bool(qid.version) == (node.kind == stat.S_IFREG)
    return status


class Made(NamedTuple):
    """How the guest makes a file, and what QEMU has of it on disk then."""

    make: Make
    attributes: dict[str, int]
    mode: int = stat.S_IFREG | 0o600
    content: bytes = b""
    code: int | None = None
    """What opening it is answered."""


def makes_file(tree: Tree, root: Node) -> None:
    node, file = tree.create(root, b"new", os.O_WRONLY, 0o4640, OWNER)
    file.close()
    node.release()


def makes(mode: int, device: Device = NO_DEVICE) -> Make:
    return lambda tree, root: tree.mknod(root, b"new", mode, device, OWNER)


IDS = {"uid": 1000, "gid": 1001}
MADE = {
    "file": Made(makes_file, {**IDS, "mode": 0o104640}),
    "directory": Made(
        lambda tree, root: tree.mkdir(root, b"new", 0o1777, OWNER),
        {**IDS, "mode": 0o041777},
        mode=stat.S_IFDIR | 0o700,
    ),
    "link": Made(
        lambda tree, root: tree.symlink(root, b"new", b"../to/\xff", OWNER),
        {**IDS, "mode": 0o120777},
        content=b"../to/\xff",
        code=errno.ELOOP,
    ),
    "FIFO": Made(makes(0o010644), {**IDS, "mode": 0o010644, "rdev": 0}, code=errno.ENXIO),
    "socket": Made(makes(0o140600), {**IDS, "mode": 0o140600, "rdev": 0}, code=errno.ENXIO),
    "character device": Made(
        makes(0o020666, Device(1, 3)), {**IDS, "mode": 0o020666, "rdev": 0x103}, code=errno.ENXIO
    ),
    "block device": Made(
        makes(0o060660, Device(259, 0x12345)),
        {**IDS, "mode": 0o060660, "rdev": 0x12310345},
        code=errno.ENXIO,
    ),
    "file of mknod": Made(makes(0o100600), {**IDS, "mode": 0o100600, "rdev": 0}),
}
