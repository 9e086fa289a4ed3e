"""How a Dom0 directory's tree goes on where another process has died (``backend.journal``)."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING

from backend.fileserver import local_attributes
from backend.fileserver.local_files import LocalDirectory, LocalFile
from backend.fileserver.root import PIN

if TYPE_CHECKING:
    from backend.fileserver.files import File, New, Node, OpenNote, Owner
    from backend.fileserver.limits import Slots
    from backend.fileserver.qids import QidSpace
    from protocol.ninep.messages import Qid


class LocalGoingOn:
    """Part of ``LocalTree``."""

    root: Node
    _descriptors: Slots
    _proc: int
    _qids: QidSpace

    def note(self, node: Node) -> int:  # noqa: ARG002 -- Tree's
        return 0

    def path_of(self, fd: int) -> int:
        """A descriptor to ``adopt`` of the file that is open as ``fd``.  Raises ``OSError``."""
        return os.open(b"%d" % fd, os.O_PATH | os.O_CLOEXEC, dir_fd=self._proc)

    @property
    def prefixes(self) -> int:
        """Prefixes of qid paths that are in use."""
        return self._qids.prefixes

    def adopt_for_locks(self, node: Node, fd: int) -> File:
        return self.adopt_open(node, fd)

    def adopt_open(self, node: Node, fd: int, note: OpenNote | None = None) -> File:  # noqa: ARG002 -- Tree's
        status = os.fstat(fd)
        if self._qids.qid(status).path != node.qid.path or stat.S_IFMT(status.st_mode) != node.kind:
            raise OSError(errno.EBADF, "the descriptor is another file's")
        self._descriptors.take()
        if node.kind == stat.S_IFDIR:
            above = node.qid.path if node.qid.path == self.root.qid.path else None
            return LocalDirectory(fd, self._descriptors, self._qids, above)
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        return LocalFile(fd, self._descriptors, writable=flags & os.O_ACCMODE != os.O_RDONLY)

    def locate(self, parent: Node, name: bytes) -> tuple[Node, bytes]:
        return parent, name

    def finished(self, parent: Node, name: bytes, new: New) -> Qid | None:
        try:
            status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        kind, mode = stat.S_IFMT(new.mode), stat.S_IMODE(new.mode)
        if stat.S_IFMT(status.st_mode) != kind:
            return None
        if kind == stat.S_IFLNK:
            if os.readlink(name, dir_fd=parent.fd) != new.target:
                return None
            mode = 0
        return self.settled(parent, name, mode, new.owner)

    def settled(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        """Settle what was just made under a name, which hands out no descriptor.

        Whoever swaps the name meanwhile for another file of the export gives that one away;
        Tsetattr lets him do so anyway.
        """
        fd = os.open(name, PIN, dir_fd=parent.fd)
        try:
            local_attributes.settle(self._proc, fd, mode, owner)
            return self._qids.qid(os.fstat(fd))
        finally:
            os.close(fd)
