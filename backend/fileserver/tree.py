"""A file tree as the file server sees it.

A policy is a tree that wraps another (``policies/``): it forwards what it does not care about and
answers the rest itself.  Read-only refuses, a quota counts in ``create`` and in the ``File`` it
hands out, named files have a root node of their own, ownership rewrites ``getattr``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.files import Changes, Device, File, New, Node, OpenNote, Owner, Space
    from backend.fileserver.qids import Status
    from protocol.ninep.messages import Qid


class Tree(Protocol):
    """Every method raises ``OSError`` with the errno that the guest is to see.

    Names have passed ``names.check_name``.  A ``Node`` that is returned is held for the caller,
    who releases it; node arguments stay the caller's.  One thread calls all methods.
    """

    @property
    def root(self) -> Node:
        """The top of the export, held by the tree."""

    def lookup(self, parent: Node, name: bytes) -> Node:
        """The entry ``name`` of the directory ``parent``; a symbolic link as itself."""

    def parent(self, node: Node) -> Node:
        """The directory above the directory ``node``; above the root there is the root."""

    def open(self, node: Node, flags: int) -> File:
        """Open a regular file or directory; ``flags`` are ``os.O_*`` of this host."""

    def open_for_locks(self, node: Node, flags: int) -> File:
        """Open a regular file for its record locks alone: nothing is read or written through it, so
        it is not one of the writers of which a policy keeps account.
        """

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        """Create a regular file and open it; without ``O_EXCL`` an existing one is opened."""

    def create_unnamed(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        """Create and open a regular file that nobody sees, to be ``publish``ed at ``name`` perhaps.

        It is gone when it is closed unpublished; what is at ``name`` now does not matter.
        """

    def publish(self, node: Node, parent: Node, name: bytes) -> None:
        """Give a file of ``create_unnamed``, still open, a name, in one step over what has it."""

    def mkdir(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        """Create a directory."""

    def symlink(self, parent: Node, name: bytes, target: bytes, owner: Owner) -> Qid:
        """Create a symbolic link; nobody but the guest ever follows it."""

    def mknod(self, parent: Node, name: bytes, mode: int, device: Device, owner: Owner) -> Qid:
        """Create what ``mode`` says: a FIFO, a socket or a regular file; EPERM for a device."""

    def link(self, node: Node, parent: Node, name: bytes) -> None:
        """Give a file that is no directory one more name."""

    def readlink(self, node: Node) -> bytes:
        """Where a symbolic link points; EINVAL for anything else."""

    def unlink(self, parent: Node, name: bytes, *, directory: bool) -> None:
        """Remove an entry: an empty directory, or anything else."""

    def rename(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        """Move an entry, over an existing one if need be."""

    def getattr(self, node: Node) -> tuple[Qid, Status]:
        """The attributes now."""

    def setattr(self, node: Node, file: File | None, changes: Changes) -> None:
        """Change attributes; ``file`` is the open file through which it is asked, if any."""

    def xattr_get(self, node: Node, name: bytes) -> bytes:
        """An extended attribute's value; ENODATA if there is none of this name."""

    def xattr_values(self, node: Node, names: Sequence[bytes]) -> list[bytes | None]:
        """The values of several, at the cost of one; ``None`` for each that there is none of."""

    def xattr_list(self, node: Node) -> list[bytes]:
        """The names of the extended attributes, in any order."""

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        """Set one; ``flags`` are ``os.XATTR_*``: EEXIST, ENODATA."""

    def xattr_remove(self, node: Node, name: bytes) -> None:
        """Remove one; ENODATA if there is none of this name."""

    def statfs(self, node: Node) -> Space:
        """The file system that ``node`` is on."""

    # For a worker that goes on where another has died (``backend.journal``).

    def note(self, node: Node) -> int:
        """What ``adopt`` has to know of a node beside its descriptor: a number of 32 bits."""

    def adopt(self, fd: int, note: int = 0) -> Node:
        """The node of a descriptor that another process had, which is taken over."""

    def adopt_open(self, node: Node, fd: int, note: OpenNote) -> File:
        """The open file of a descriptor that another process opened for ``node``; taken over.

        EBADF where it is another file's.
        """

    def adopt_for_locks(self, node: Node, fd: int) -> File:
        """As ``adopt_open``, of what ``open_for_locks`` gave."""

    def locate(self, parent: Node, name: bytes) -> tuple[Node, bytes]:
        """Where Dom0 has the entry ``name`` of ``parent``, if it has it."""

    def finished(self, parent: Node, name: bytes, new: New) -> Qid | None:
        """Where nothing had the name, and another process was to make ``new`` there: if it is there
        now, give it owner and mode, perhaps again.  ``None`` where it has still to be made.
        """

    def close(self) -> None:
        """Let go of the root.  Nodes still held stay usable until they are released."""
