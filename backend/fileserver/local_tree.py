"""The tree of a Dom0 directory: each operation on descriptors, one name at a time."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from backend.fileserver import local_attributes, local_xattrs
from backend.fileserver.creating import create_or_open
from backend.fileserver.files import Node
from backend.fileserver.limits import descriptor_slots
from backend.fileserver.local_files import MAX_OFFSET, LocalDirectory, LocalFile
from backend.fileserver.local_going_on import LocalGoingOn
from backend.fileserver.names import DOT_DOT
from backend.fileserver.qids import QidSpace
from backend.fileserver.root import PIN, PIN_DIRECTORY, check_beneath, open_root
from backend.fileserver.unnamed import NO_TMPFILE, UnnamedFiles, hidden_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.files import Changes, Device, File, Owner, Space
    from backend.fileserver.limits import Slots
    from backend.fileserver.qids import Status
    from protocol.ninep.messages import Qid

_MADE_KINDS: Final = (stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK)
"""What ``mknod`` makes.  A device node in Dom0 would be a door into Dom0's kernel."""


class LocalTree(LocalGoingOn):
    """The tree of a Dom0 directory: each operation relative to a descriptor, one name at a time.

    Why nothing outside the root can be reached:

    - A name is one component (``names.check_name``), opened with ``O_PATH | O_NOFOLLOW`` relative
      to a descriptor: the kernel looks into that directory only, and follows no link.
    - ``..`` is believed only after climbing from there has met the root.
    - A node is opened for real through ``/proc/self/fd/N``, which leads to the very inode that the
      descriptor pins, and only if that is a regular file or a directory: a name that is swapped
      meanwhile for a link, a device or a FIFO is never looked at again.

    Modes are taken as they come: whoever starts the process clears its umask, because a guest's
    modes have been through the guest's own.
    """

    def __init__(self, root: str | int, descriptors: Slots | None = None) -> None:
        """``root`` is a path, or a descriptor of a directory, which is taken over.

        ``descriptors`` bounds nodes and open files; trees of one process share one such bound.
        Must be called in the process that serves the tree: ``/proc/self`` is that process.
        Raises ``OSError``: what ``open_root`` says; EMFILE; any, where /proc is not mounted.
        """
        root_fd = open_root(root) if isinstance(root, str) else root
        try:
            self._descriptors = descriptors or descriptor_slots()
            self._descriptors.check(1)
            status = os.fstat(root_fd)
            # Held open, so that it serves on when the worker has given up its view of /proc.
            self._proc = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            os.close(root_fd)
            raise
        self._key = (status.st_dev, status.st_ino)
        self._qids = QidSpace(status.st_dev)
        self._unnamed = UnnamedFiles(self)
        self.root = self.adopt(root_fd)

    def adopt(self, fd: int, note: int = 0) -> Node:  # noqa: ARG002 -- Tree's
        """The node of a descriptor from elsewhere, which is taken over.

        The root's ``parent`` alone says what is beneath it: nothing keeps the caller from handing
        out what he adopts.  Raises ``OSError``: EMFILE.
        """
        try:
            status = os.fstat(fd)
            qid = self._qids.qid(status)
            self._descriptors.take()
        except OSError:
            os.close(fd)
            raise
        return Node(fd, stat.S_IFMT(status.st_mode), qid, self._descriptors)

    @property
    def descriptors(self) -> Slots:
        """What bounds nodes and open files."""
        return self._descriptors

    def close(self) -> None:
        self.root.release()
        os.close(self._proc)

    def lookup(self, parent: Node, name: bytes) -> Node:
        return self._pin(name, PIN, parent.fd)

    def parent(self, node: Node) -> Node:
        if node.qid.path == self.root.qid.path:
            return self.root.hold()
        above = self._pin(DOT_DOT, PIN_DIRECTORY, node.fd)
        try:
            check_beneath(above.fd, self._key)
        except OSError:
            above.release()
            raise
        return above

    def open(self, node: Node, flags: int) -> File:
        if node.kind == stat.S_IFREG:
            fd = self._open(b"%d" % node.fd, flags | os.O_CLOEXEC, self._proc)
            return LocalFile(fd, self._descriptors, writable=_writable(flags))
        if node.kind == stat.S_IFDIR:
            if _writable(flags) or flags & os.O_TRUNC:
                raise OSError(errno.EISDIR, "a directory cannot be opened for writing")
            # Not as "." below itself: that would ask for permission to search it, too.
            how = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | flags & os.O_NOATIME
            fd = self._open(b"%d" % node.fd, how, self._proc)
            above = node.qid.path if node.qid.path == self.root.qid.path else None
            try:
                return LocalDirectory(fd, self._descriptors, self._qids, above)
            except OSError:  # a network file system may not know the directory any more
                os.close(fd)
                self._descriptors.give()
                raise
        if node.kind == stat.S_IFLNK:
            raise OSError(errno.ELOOP, "a symbolic link is not followed")
        # The guest's kernel opens FIFOs and devices in the guest; Dom0's are opened for nobody.
        # ENXIO is what Linux says of a socket, and QEMU of all of these (CVE-2023-2861).
        raise OSError(errno.ENXIO, "neither a regular file nor a directory")

    def open_for_locks(self, node: Node, flags: int) -> File:
        return self.open(node, flags)

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        self._descriptors.check(2)  # no file is left behind that cannot be handed out
        new = flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

        def create() -> tuple[Node, File]:
            return self._created(self._open(name, new, parent.fd, mode), flags, mode, owner)

        return create_or_open(self, create, parent, name, flags)

    def create_unnamed(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        del name  # every name of a directory is on the directory's file system
        self._descriptors.check(2)
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = self._open(b".", flags | os.O_TMPFILE, parent.fd, mode)
        except OSError as error:
            if error.errno not in NO_TMPFILE:
                raise
        else:
            return self._created(fd, flags, mode, owner)
        hidden = hidden_name()
        fd = self._open(hidden, flags | os.O_CREAT | os.O_EXCL, parent.fd, mode)
        return self._unnamed.keep(*self._created(fd, flags, mode, owner), parent, hidden)

    def publish(self, node: Node, parent: Node, name: bytes) -> None:
        self._unnamed.publish(node, parent, name)

    def mkdir(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        os.mkdir(name, mode, dir_fd=parent.fd)
        return self.settled(parent, name, mode, owner)

    def symlink(self, parent: Node, name: bytes, target: bytes, owner: Owner) -> Qid:
        os.symlink(target, name, dir_fd=parent.fd)
        return self.settled(parent, name, 0, owner)

    def mknod(self, parent: Node, name: bytes, mode: int, device: Device, owner: Owner) -> Qid:
        del device  # means something for device nodes only
        if stat.S_IFMT(mode) not in _MADE_KINDS:
            raise OSError(errno.EPERM, "device nodes are not made")
        os.mknod(name, mode, dir_fd=parent.fd)
        return self.settled(parent, name, mode, owner)

    def link(self, node: Node, parent: Node, name: bytes) -> None:
        # Following /proc/self/fd/N leads to the pinned inode itself, also to a symbolic link's
        # (linkat(2), AT_EMPTY_PATH); what its name leads to by now does not matter.
        os.link(
            b"%d" % node.fd,
            name,
            src_dir_fd=self._proc,
            dst_dir_fd=parent.fd,
            follow_symlinks=True,
        )

    def readlink(self, node: Node) -> bytes:
        if node.kind != stat.S_IFLNK:
            raise OSError(errno.EINVAL, "not a symbolic link")
        # The empty path: the link that the descriptor pins (readlink(2), Linux 2.6.39).
        return os.readlink(b"", dir_fd=node.fd)

    def unlink(self, parent: Node, name: bytes, *, directory: bool) -> None:
        if directory:
            os.rmdir(name, dir_fd=parent.fd)
        else:
            os.unlink(name, dir_fd=parent.fd)

    def rename(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        os.rename(old_name, new_name, src_dir_fd=old_parent.fd, dst_dir_fd=new_parent.fd)

    def getattr(self, node: Node) -> tuple[Qid, Status]:
        status = os.fstat(node.fd)
        return self._qids.qid(status), status

    def setattr(self, node: Node, file: File | None, changes: Changes) -> None:
        # The size first, because that sets mtime.
        local_attributes.check_changes(node, changes)
        if changes.size is not None:
            self._resize(node, file, changes.size)
        local_attributes.change(self._proc, node.fd, changes)

    def xattr_get(self, node: Node, name: bytes) -> bytes:
        return local_xattrs.get(self._proc, node, name)

    def xattr_values(self, node: Node, names: Sequence[bytes]) -> list[bytes | None]:
        return local_xattrs.values(self._proc, node, names)

    def xattr_list(self, node: Node) -> list[bytes]:
        return local_xattrs.names(self._proc, node)

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        local_xattrs.put(self._proc, node, name, value, flags)

    def xattr_remove(self, node: Node, name: bytes) -> None:
        local_xattrs.remove(self._proc, node, name)

    def statfs(self, node: Node) -> Space:
        return local_attributes.space(node.fd)

    def _created(self, fd: int, flags: int, mode: int, owner: Owner) -> tuple[Node, LocalFile]:
        file = LocalFile(fd, self._descriptors, writable=_writable(flags))
        try:
            local_attributes.settle(self._proc, fd, mode, owner)
            return self._pin(b"%d" % fd, os.O_PATH | os.O_CLOEXEC, self._proc), file
        except OSError:
            file.close()
            raise

    def _resize(self, node: Node, file: File | None, size: int) -> None:
        if size > MAX_OFFSET:
            raise OSError(errno.EFBIG, f"{size} bytes is beyond any file")
        if file is not None and file.writable:
            os.ftruncate(file.fileno(), size)
            return
        opened = self.open(node, os.O_WRONLY)
        try:
            os.ftruncate(opened.fileno(), size)
        finally:
            opened.close()

    def _pin(self, name: bytes, flags: int, dir_fd: int) -> Node:
        descriptors, fd = self._descriptors, -1
        descriptors.take()
        try:
            fd = os.open(name, flags, dir_fd=dir_fd)
            status = os.fstat(fd)
            return Node(fd, stat.S_IFMT(status.st_mode), self._qids.qid(status), descriptors)
        except OSError:
            if fd >= 0:
                os.close(fd)
            descriptors.give()
            raise

    def _open(self, name: bytes, flags: int, dir_fd: int, mode: int = 0) -> int:
        self._descriptors.take()
        try:
            return os.open(name, flags, mode, dir_fd=dir_fd)
        except OSError:
            self._descriptors.give()
            raise


def _writable(flags: int) -> bool:
    return flags & os.O_ACCMODE != os.O_RDONLY
