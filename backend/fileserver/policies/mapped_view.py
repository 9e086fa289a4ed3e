"""What a guest is shown of files whose attributes say more than Dom0 knows (``virtfs``)."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from backend.fileserver.files import Node
from backend.fileserver.policies.forwarding import ForwardingFile
from backend.fileserver.policies.virtfs import SPECIAL_KINDS
from protocol.ninep.directory import retype_entries
from protocol.ninep.flags import DT_REG, DT_UNKNOWN, QTFILE, QTSYMLINK
from protocol.ninep.messages import Dirent, Qid

if TYPE_CHECKING:
    from collections.abc import Iterable


class SpecialNode(Node):
    """A regular file as what it stands for: a symbolic link, FIFO, socket or device node.

    The kind is that of the moment it was looked up.  Whoever changes it meanwhile, through another
    export of the same directory, changes a regular file of the guest's own.
    """

    __slots__ = ("real",)

    def __init__(self, real: Node, kind: int) -> None:
        """Take over the caller's hold on ``real``, the node of the file itself."""
        super().__init__(real.fd, kind, shown_qid(kind, real.qid), real.descriptors)
        self.real: Final = real

    def hold(self) -> Node:
        self.real.hold()
        return self

    def release(self) -> None:
        self.real.release()


class MappedDirectory(ForwardingFile):
    """An open directory that does not know which of its regular files are what they seem.

    To ask for each would cost a system call an entry.  A client that needs to know asks by itself
    when it is told "unknown" (readdir(3)), for those it needs.  QEMU says so of directories, too.
    """

    __slots__ = ()

    def entries(self, cookie: int) -> Iterable[Dirent]:
        for entry in self.inner.entries(cookie):
            if entry.type == DT_REG:
                yield Dirent(entry.qid, entry.offset, DT_UNKNOWN, entry.name)
            else:
                yield entry

    def pack_entries(self, cookie: int, room: int) -> bytes:
        # The same in little more than half the time, for a directory of 100,000.
        return retype_entries(self.inner.pack_entries(cookie, room), DT_REG, DT_UNKNOWN)


def real_node(node: Node) -> Node:
    """The node of the file itself."""
    return node.real if isinstance(node, SpecialNode) else node


def shown_qid(kind: int, qid: Qid) -> Qid:
    """The qid of what a file with ``qid`` stands for; the version is regular files' alone."""
    if kind not in SPECIAL_KINDS:
        return qid
    return Qid(QTSYMLINK if kind == stat.S_IFLNK else QTFILE, 0, qid.path)
