"""The guest's own owners, modes and kinds of files, kept in attributes: Dom0 knows nothing of them.

``virtfs`` has the form on disk, which is QEMU's.  The worker needs no privilege for this: all files
are its user's.

What is half done when a worker dies shows too little, never too much.  A new file is at first
``FILE_MODE`` and the worker's user's, then gets its owner; the mode, with the kind and the set-id
bits, comes last.  A change of owner takes the set-id bits away first.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.fileserver.creating import create_or_open
from backend.fileserver.files import NO_CHANGE, NOBODY, New
from backend.fileserver.policies import virtfs
from backend.fileserver.policies.forwarding import ForwardingTree
from backend.fileserver.policies.mapped_view import (
    MappedDirectory,
    SpecialNode,
    real_node,
    shown_qid,
)
from backend.fileserver.qids import ShownStatus

if TYPE_CHECKING:
    from backend.fileserver.files import Changes, Device, File, Node, OpenNote, Owner, Space
    from backend.fileserver.qids import Status
    from protocol.ninep.messages import Qid

MAX_TARGET: Final = 4095
"""Bytes of a symbolic link's target: ``PATH_MAX`` less the NUL that a path ends with.  A file that
stands for a link may hold more if Dom0 wrote it; nobody could use the rest."""

_MAX_MAJOR: Final = (1 << 12) - 1
_MAX_MINOR: Final = (1 << 20) - 1
"""Linux's device numbers (``linux/kdev_t.h``)."""

_DEVICES: Final = (stat.S_IFCHR, stat.S_IFBLK)
_MADE_KINDS: Final = (virtfs.SPECIAL_KINDS | {stat.S_IFREG}) - {stat.S_IFLNK}


class _New(NamedTuple):
    """What a file that is to be made is for the guest."""

    mode: int
    """With the kind."""
    owner: Owner
    rdev: int | None = None
    content: bytes = b""


class MappedXattrTree(ForwardingTree):
    """Shows each file as its attributes say; where there are none, as it is."""

    def lookup(self, parent: Node, name: bytes) -> Node:
        node = self.inner.lookup(parent, name)
        if node.kind != stat.S_IFREG:
            return node
        try:
            kind = self._kind(node)
        except OSError:
            node.release()
            raise
        return node if kind == stat.S_IFREG else SpecialNode(node, kind)

    def open(self, node: Node, flags: int) -> File:
        if isinstance(node, SpecialNode):
            raise _not_opened(node.kind)
        file = self.inner.open(node, flags)
        return MappedDirectory(file) if node.kind == stat.S_IFDIR else file

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        new = _New(stat.S_IFREG | mode, owner)
        return create_or_open(
            self, lambda: self._create(parent, name, flags, new), parent, name, flags
        )

    def create_unnamed(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        node, file = self.inner.create_unnamed(parent, name, flags, virtfs.FILE_MODE, NOBODY)
        try:
            self._describe(node, _New(stat.S_IFREG | mode, owner))
        except OSError:
            node.release()
            file.discard()
            raise
        return node, file

    def mkdir(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        qid = self.inner.mkdir(parent, name, virtfs.DIRECTORY_MODE, NOBODY)
        try:
            node = self.inner.lookup(parent, name)
            try:
                self._describe(node, _New(stat.S_IFDIR | mode, owner))
            finally:
                node.release()
        except OSError:
            self._undo(parent, name, directory=True)
            raise
        return qid

    def symlink(self, parent: Node, name: bytes, target: bytes, owner: Owner) -> Qid:
        return self._make(parent, name, _New(stat.S_IFLNK | 0o777, owner, content=target))

    def mknod(self, parent: Node, name: bytes, mode: int, device: Device, owner: Owner) -> Qid:
        kind = stat.S_IFMT(mode)
        if kind not in _MADE_KINDS:
            raise OSError(errno.EPERM, "mknod makes files, FIFOs, sockets and device nodes")
        rdev = 0
        if kind in _DEVICES:
            if device.major > _MAX_MAJOR or device.minor > _MAX_MINOR:
                raise OSError(errno.EINVAL, f"{device} is no device of Linux's")
            rdev = os.makedev(device.major, device.minor)
        return self._make(parent, name, _New(mode, owner, rdev))

    def link(self, node: Node, parent: Node, name: bytes) -> None:
        self.inner.link(real_node(node), parent, name)

    def readlink(self, node: Node) -> bytes:
        real = real_node(node)
        if real is node or node.kind != stat.S_IFLNK:
            return self.inner.readlink(real)
        file = self.inner.open(real, os.O_RDONLY)
        try:
            target = bytearray(MAX_TARGET)
            length = file.read([memoryview(target)], 0)
            return bytes(target[:length])
        finally:
            file.close()

    def getattr(self, node: Node) -> tuple[Qid, Status]:
        tree, real = self.inner, real_node(node)
        qid, status = tree.getattr(real)
        if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            return qid, status  # Dom0 made it, and Linux keeps no user attributes of it
        uid, gid, stored = virtfs.read(tree, real, virtfs.UID, virtfs.GID, virtfs.MODE)
        mode = virtfs.shown_mode(status.st_mode, stored)
        kind = stat.S_IFMT(mode)
        [rdev] = virtfs.read(tree, real, virtfs.RDEV) if kind in _DEVICES else [None]
        return shown_qid(kind, qid), ShownStatus(
            mode,
            status.st_dev,
            status.st_ino,
            status.st_nlink,
            status.st_uid if uid is None else uid,
            status.st_gid if gid is None else gid,
            rdev or 0,
            status.st_size,
            status.st_blksize,
            status.st_blocks,
            status.st_atime_ns,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )

    def setattr(self, node: Node, file: File | None, changes: Changes) -> None:
        real = real_node(node)
        if changes.size is not None and real is not node:
            raise _not_opened(node.kind)
        if changes.mode is not None and node.kind == stat.S_IFLNK:
            raise OSError(errno.EOPNOTSUPP, "a symbolic link's mode does not change")
        self.inner.setattr(real, file, changes._replace(mode=None, owner=NOBODY))
        if changes.owner != NOBODY:
            mode = self.getattr(real)[1].st_mode
            kept = _without_set_id(mode)
            if kept != mode:
                virtfs.MODE.write(self.inner, real, kept)
            self._give(real, changes.owner)
        if changes.mode is not None:
            virtfs.MODE.write(self.inner, real, self._kind(real) | changes.mode)

    def xattr_get(self, node: Node, name: bytes) -> bytes:
        if name.startswith(virtfs.NAMESPACE):
            raise OSError(errno.ENODATA, "not the guest's")
        return self.inner.xattr_get(real_node(node), virtfs.ACLS.get(name, name))

    def xattr_list(self, node: Node) -> list[bytes]:
        names = self.inner.xattr_list(real_node(node))
        acls = [name for name, kept in virtfs.ACLS.items() if kept in names]
        return acls + [name for name in names if not name.startswith(virtfs.NAMESPACE)]

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        self.inner.xattr_set(real_node(node), _kept_name(name), value, flags)

    def xattr_remove(self, node: Node, name: bytes) -> None:
        try:
            self.inner.xattr_remove(real_node(node), _kept_name(name))
        except OSError as error:
            # To remove an ACL that is not there is no error on a file system that has them.
            if error.errno != errno.ENODATA or name not in virtfs.ACLS:
                raise

    def statfs(self, node: Node) -> Space:
        return self.inner.statfs(real_node(node))

    def note(self, node: Node) -> int:
        return node.kind if isinstance(node, SpecialNode) else 0

    def adopt(self, fd: int, note: int = 0) -> Node:
        node = self.inner.adopt(fd)
        special = node.kind == stat.S_IFREG and note in virtfs.SPECIAL_KINDS
        return SpecialNode(node, note) if special else node

    def adopt_open(self, node: Node, fd: int, note: OpenNote) -> File:
        file = self.inner.adopt_open(real_node(node), fd, note)
        return MappedDirectory(file) if node.kind == stat.S_IFDIR else file

    def finished(self, parent: Node, name: bytes, new: New) -> Qid | None:
        """It may be there, and not be described, or not wholly: then it shows too little."""
        directory = stat.S_ISDIR(new.mode)
        real = (
            stat.S_IFDIR | virtfs.DIRECTORY_MODE if directory else stat.S_IFREG | virtfs.FILE_MODE
        )
        if self.inner.finished(parent, name, New(real, NOBODY)) is None:
            return None
        node = self.inner.lookup(parent, name)
        try:
            if stat.S_ISLNK(new.mode) and not self._fill(node, new.target):
                return None
            self._describe(node, _described(new))
            return shown_qid(stat.S_IFMT(new.mode), node.qid)
        finally:
            node.release()

    def _kind(self, real: Node) -> int:
        [stored] = virtfs.read(self.inner, real, virtfs.MODE)
        return stat.S_IFMT(virtfs.shown_mode(real.kind, stored))

    def _make(self, parent: Node, name: bytes, new: _New) -> Qid:
        """Make a file that is not handed out."""
        node, file = self._create(parent, name, os.O_WRONLY, new)
        qid = shown_qid(stat.S_IFMT(new.mode), node.qid)
        node.release()
        file.close()
        return qid

    def _create(self, parent: Node, name: bytes, flags: int, new: _New) -> tuple[Node, File]:
        """Make what was not there, whole or not at all."""
        node, file = self.inner.create(parent, name, flags | os.O_EXCL, virtfs.FILE_MODE, NOBODY)
        try:
            if new.content and file.write([memoryview(new.content)], 0) < len(new.content):
                raise OSError(errno.ENOSPC, "no room for the target")
            self._describe(node, new)
        except OSError:
            node.release()
            file.close()
            self._undo(parent, name, directory=False)
            raise
        return node, file

    def _describe(self, node: Node, new: _New) -> None:
        """Store what a new file is; the mode last, which says what the rest is worth."""
        self._give(node, new.owner)
        if new.rdev is not None:
            virtfs.RDEV.write(self.inner, node, new.rdev)
        virtfs.MODE.write(self.inner, node, new.mode)

    def _fill(self, node: Node, target: bytes) -> bool:
        """Write a link's target, of which a part may be there; false where something else is."""
        file = self.inner.open(node, os.O_RDWR)
        try:
            there = bytearray(len(target) + 1)
            length = file.read([memoryview(there)], 0)
            if not target.startswith(there[:length]):
                return False
            return file.write([memoryview(target)], 0) == len(target)
        finally:
            file.close()

    def _give(self, node: Node, owner: Owner) -> None:
        if owner.gid != NO_CHANGE:
            virtfs.GID.write(self.inner, node, owner.gid)
        if owner.uid != NO_CHANGE:
            virtfs.UID.write(self.inner, node, owner.uid)

    def _undo(self, parent: Node, name: bytes, *, directory: bool) -> None:
        """Remove what was just made.

        Whoever gives its name to another file meanwhile loses that one; he may remove it anyway.
        """
        with suppress(OSError):
            self.inner.unlink(parent, name, directory=directory)


def _described(new: New) -> _New:
    if stat.S_ISLNK(new.mode):
        return _New(stat.S_IFLNK | 0o777, new.owner)
    device = new.device
    if device is None:
        return _New(new.mode, new.owner)
    return _New(new.mode, new.owner, os.makedev(*device) if _is_device(new.mode) else 0)


def _is_device(mode: int) -> bool:
    return stat.S_IFMT(mode) in _DEVICES


def _not_opened(kind: int) -> OSError:
    """As ``LocalTree.open`` has it of the real ones."""
    if kind == stat.S_IFLNK:
        return OSError(errno.ELOOP, "a symbolic link is not followed")
    return OSError(errno.ENXIO, "neither a regular file nor a directory")


def _without_set_id(mode: int) -> int:
    """What a change of owner leaves of a mode, as chown(2) has it."""
    if stat.S_ISDIR(mode):
        return mode
    return mode & ~(stat.S_ISUID | (stat.S_ISGID if mode & stat.S_IXGRP else 0))


def _kept_name(name: bytes) -> bytes:
    if name.startswith(virtfs.NAMESPACE):
        raise OSError(errno.EACCES, "not the guest's")
    return virtfs.ACLS.get(name, name)
