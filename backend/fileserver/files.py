"""What a tree hands out: nodes (a file, pinned), open files, and the values that describe them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, Protocol

from backend.fileserver.syscalls import OMIT, Timespec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backend.fileserver.deferred import Steps
    from backend.fileserver.limits import Slots
    from protocol.ninep.messages import Dirent, Qid

NO_CHANGE: Final = -1
"""A uid or gid that chown(2) leaves as it is."""


class Node:
    """One file of the tree, pinned by an ``O_PATH`` descriptor: whatever happens to its names, and
    to the directories above it, it stays the same file, unless a policy replaces it (``exchange``).

    Shared by the fids that were cloned from one another; the last holder's ``release`` closes it.
    """

    __slots__ = ("__weakref__", "_entry", "_holders", "descriptors", "dispose", "fd", "kind", "qid")

    def __init__(self, fd: int, kind: int, qid: Qid, descriptors: Slots) -> None:
        """Take over ``fd`` and the slot that was taken for it.

        ``kind`` is ``S_IFMT`` of the mode: it never changes while the inode is pinned, so it is
        what decides whether the node may be opened.  ``qid.version`` is that of the moment.
        """
        self.fd = fd
        self.kind: Final = kind
        self.qid = qid
        self.descriptors: Final = descriptors
        self.dispose = descriptors.dispose
        """Closes ``fd`` in the end.  A policy that keeps account of what is held does so here."""
        self._holders = 1
        self._entry: tuple[Node, bytes] | None = None

    @property
    def held(self) -> bool:
        """Whether anybody holds it still."""
        return self._holders > 0

    @property
    def entry(self) -> tuple[Node, bytes] | None:
        """The directory and the name that a policy said it stands at."""
        return self._entry

    def stand_at(self, entry: tuple[Node, bytes] | None) -> None:
        """Remember where it stands, and hold the directory as long."""
        if entry is not None:
            entry[0].hold()
        if self._entry is not None:
            self._entry[0].release()
        self._entry = entry

    def exchange(self, other: Node) -> None:
        """Become the file that ``other`` is, and the other way round, for all who hold them."""
        self.fd, other.fd = other.fd, self.fd
        self.qid, other.qid = other.qid, self.qid
        self.dispose, other.dispose = other.dispose, self.dispose

    def hold(self) -> Node:
        """One holder more."""
        self._holders += 1
        return self

    def release(self) -> None:
        """One holder less; the descriptor goes with the last."""
        self._holders -= 1
        if not self._holders:
            self.dispose(self.fd)
            self.descriptors.give()
            self.stand_at(None)


class Owner(NamedTuple):
    """To whom a new file is to belong; ``NO_CHANGE``: whoever creates it."""

    uid: int
    gid: int


NOBODY: Final = Owner(NO_CHANGE, NO_CHANGE)
"""Leave the owner as it is."""


class Device(NamedTuple):
    """The numbers of a device node."""

    major: int
    minor: int


class New(NamedTuple):
    """A file that was to be made."""

    mode: int
    """Kind and permissions."""
    owner: Owner
    target: bytes = b""
    """Of a symbolic link."""
    device: Device | None = None
    """Of what mknod makes."""
    flags: int = 0
    """``os.O_*`` by which a regular file was to be opened."""


class OpenNote(NamedTuple):
    """What a journal keeps of an open file beside its descriptor, for ``Tree.adopt_open``."""

    flags: int = 0
    """A policy's own."""
    parent: Node | None = None
    """The directory that it was created in, where that is to be synced in the end."""
    serial: int = 0
    """Of a file that is pending, which one."""
    data: bytes = b""
    """Of a channel: where it has come to."""


class Changes(NamedTuple):
    """What a Tsetattr asks for; the defaults change nothing."""

    mode: int | None = None
    owner: Owner = NOBODY
    size: int | None = None
    atime: Timespec = OMIT
    mtime: Timespec = OMIT
    touch: bool = False
    """Only ctime is to become the current time."""


class Space(NamedTuple):
    """What statvfs(3) says; blocks are counted in units of ``bsize`` bytes."""

    bsize: int
    blocks: int
    bfree: int
    bavail: int
    files: int
    ffree: int
    fsid: int
    namelen: int


class Pin(Protocol):
    """An open file held on its own, so that another thread may sync it while the fid is clunked."""

    def sync(self, *, data_only: bool) -> None:
        """fsync(2) or fdatasync(2).  Raises ``OSError``."""

    def close(self) -> None:
        """Let go."""


class File(Protocol):
    """An open file or directory.  Every method raises ``OSError``; one thread calls them."""

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""

    def fileno(self) -> int:
        """The descriptor behind it."""

    def read(self, buffers: Sequence[memoryview], offset: int) -> int:
        """Fill ``buffers`` from ``offset``; less than full only at the end of the file."""

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:
        """Write ``buffers`` at ``offset``: all, but for a channel, which may take less."""

    def entries(self, cookie: int) -> Iterable[Dirent]:
        """The entries after ``cookie`` (0: from the start); each entry's ``offset`` is one.

        Asking for the next one accepts the one before; what was not accepted comes again when
        ``entries`` is called with the cookie of the last that was.  A policy may filter.

        An entry's qid has no version, and its path is what the directory knows: of a mount point,
        the file that lies hidden below it.
        """

    def pack_entries(self, cookie: int, room: int) -> bytes:
        """The same entries as an Rreaddir carries them: whole ones, at most ``room`` bytes.

        b"" at the directory's end.  Those that are returned are accepted.  EINVAL where entries are
        left but not even one fits; an error that comes after some is kept back until the next call.
        """

    def pin(self) -> Pin:
        """Hold what is open, for a sync that runs elsewhere."""

    def note(self) -> OpenNote | None:
        """What the next worker has to know of it; ``None`` where no other can go on with it."""

    def close(self) -> None:
        """Give everything back, then raise what closing reported, if anything."""

    def closing(self) -> Steps | None:
        """``close`` for a caller that must not wait, in steps; ``None`` where it never waits.

        To be called in place of ``close``, and run to its end.
        """

    def discard(self) -> None:
        """``close`` where nobody closed: the session is over, and with it what was not finished."""


class Closing(File, Protocol):
    """An open file that is closed in steps."""

    @property
    def closed(self) -> bool:
        """Whether the file itself is closed already."""

    @property
    def entry(self) -> Node | None:
        """The directory that is to be synced then, if one is still."""


class Unopened:
    """The open file of a fid that is not open: each method says EBADF."""

    __slots__ = ()

    writable: Final = False

    def fileno(self) -> int:
        _not_open()

    def read(self, buffers: Sequence[memoryview], offset: int) -> int:  # noqa: ARG002 -- File's
        _not_open()

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:  # noqa: ARG002 -- File's
        _not_open()

    def entries(self, cookie: int) -> Iterable[Dirent]:  # noqa: ARG002 -- File's
        _not_open()

    def pack_entries(self, cookie: int, room: int) -> bytes:  # noqa: ARG002 -- File's
        _not_open()

    def pin(self) -> Pin:
        _not_open()

    def note(self) -> OpenNote | None:
        """Whatever stands for something else than a file says so itself."""
        return None

    def close(self) -> None:
        """Nothing is open."""

    def closing(self) -> Steps | None:
        """Nothing to wait for."""
        return None

    def discard(self) -> None:
        """Nothing is open."""


def _not_open() -> NoReturn:
    raise OSError(errno.EBADF, "the fid is not open")


UNOPENED: Final = Unopened()
"""Stands where a fid has no open file, so that reading and writing need not ask."""
