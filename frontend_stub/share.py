"""A mounted share: its names, directories and files.

>>> with Share.attach(Client.connect(transport)) as share:
...     share.mkdir("states")
...     with share.open("states/7", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
...         file.pwrite(b"...", 0)
...     share.listdir("states")
['7']

Every operation raises ``OSError`` with the server's errno and the path as it was given.  Symbolic
links are not followed: their target is a matter of the server's tree, which a guest cannot see.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, Self

from frontend_stub import linking, naming, xattrs
from frontend_stub.attributes import FileSystem
from frontend_stub.file import File
from frontend_stub.opening import Opening
from frontend_stub.paths import components, shown, split
from frontend_stub.walking import MAX_WALK, Walker
from protocol.ninep import flags as f
from protocol.ninep.directory import decode_entries
from protocol.ninep.errors import ProtocolError
from protocol.ninep.ids import NOFID, Fid
from protocol.ninep.messages import (
    Rattach,
    Rlcreate,
    Rlopen,
    Rmkdir,
    Rreaddir,
    Rstatfs,
    Tattach,
    Tlcreate,
    Tlopen,
    Tmkdir,
    Treaddir,
    Tstatfs,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from frontend_stub.attributes import Attributes
    from frontend_stub.client import Client
    from frontend_stub.paths import Path
    from frontend_stub.transport import Slices
    from protocol.ninep.messages import Dirent

_STAT_BATCH: Final = 32
"""Files asked about at once by ``stat_all``: as many fids are in use meanwhile."""

_CREATE_TRIES: Final = 3
"""A file that appears and vanishes under our hands more often than this is somebody's game."""

_DOTL_FLAGS: Final = (
    (os.O_TRUNC, f.DOTL_TRUNC),
    (os.O_APPEND, f.DOTL_APPEND),
    (os.O_DIRECTORY, f.DOTL_DIRECTORY),
    (os.O_NOFOLLOW, f.DOTL_NOFOLLOW),
    (os.O_DSYNC, f.DOTL_DSYNC),
)


class Share:
    """One attached tree; it owns its client, and closing it ends the session.

    A path is ``str`` or ``bytes``, slash-separated, from the share's root.
    """

    def __init__(self, client: Client, root: Fid) -> None:
        self.client: Final = client
        self._root = root
        self._walker = Walker(client, root)

    @classmethod
    def attach(
        cls, client: Client, aname: str = "/", uname: str = "root", uid: int | None = None
    ) -> Self:
        """Attach to the tree ``aname`` as user ``uname``, number ``uid`` (default: our own).

        The client is closed if the server refuses.
        """
        root = Fid(client.fids.take())
        number = os.geteuid() if uid is None else uid
        try:
            client.call(
                lambda tag: Tattach(
                    tag, root, NOFID, os.fsencode(uname), os.fsencode(aname), number
                ),
                Rattach,
                aname,
            )
        except BaseException:
            client.close()
            raise
        return cls(client, root)

    def open(self, path: Path, flags: int = os.O_RDONLY, mode: int = 0o666) -> File:
        """Open a file as ``os.open`` does; with ``O_CREAT`` it is made where it is missing.

        ``mode`` are a new file's permissions; our umask is taken off, as for a local file.
        """
        if not flags & os.O_CREAT:
            return self._open(path, flags)
        for _ in range(_CREATE_TRIES):
            if not flags & os.O_EXCL:
                try:
                    return self._open(path, flags)
                except FileNotFoundError:
                    pass
            try:
                return self._create(path, flags, mode)
            except FileExistsError:
                if flags & os.O_EXCL:
                    raise
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), shown(path))

    def begin_open(self, path: Path, flags: int = os.O_RDONLY) -> Opening:
        """Ask to open what may take a while: a channel, which waits for a client."""
        wanted = _dotl_flags(flags)
        fid = self._walker.walk(components(path), path)
        try:
            pending = self.client.submit(
                lambda tag: Tlopen(tag, fid, wanted), Rlopen, name=shown(path)
            )
        except BaseException:
            self._walker.clunk(fid)
            raise
        return Opening(self.client, pending, fid, lambda: self._walker.clunk(fid))

    def scandir(self, path: Path = "") -> Iterator[Dirent]:
        """A directory's entries, but for ``.`` and ``..``, as the server gives them.

        Each has ``name`` (bytes), ``qid`` and ``type`` (the ``DT_*`` of readdir(3)).
        """
        with self._open(path, os.O_RDONLY | os.O_DIRECTORY) as directory:
            offset = 0
            while entries := self._read_entries(directory, offset):
                offset = entries[-1].offset
                for entry in entries:
                    if not entry.name or b"/" in entry.name or b"\0" in entry.name:
                        # Whoever makes local files of these names must be able to rely on them.
                        raise OSError(errno.EPROTO, f"bad name {entry.name!r}", shown(path))
                    if entry.name not in (b".", b".."):
                        yield entry

    def listdir(self, path: Path = "") -> list[str]:
        """A directory's names, sorted."""
        return sorted(os.fsdecode(entry.name) for entry in self.scandir(path))

    def stat(self, path: Path = "") -> Attributes:
        """A file's attributes; of a symbolic link, its own."""
        with self._walker.walked(components(path), path) as fid:
            return self._walker.getattr(fid, path)

    def stat_all(self, directory: Path, names: Sequence[bytes]) -> Iterator[Attributes | OSError]:
        """The attributes of many files of one directory, or what each one's stat failed with.

        Much faster than one ``stat`` after the other: many requests are in flight.
        """
        parent = components(directory)
        if len(parent) >= MAX_WALK:
            # Too deep for one Twalk each: a fid of the directory would be needed; rare, so slow.
            for name in names:
                try:
                    yield self.stat(b"/".join((*parent, name)))
                except OSError as error:
                    yield error
            return
        for at in range(0, len(names), _STAT_BATCH):
            batch = names[at : at + _STAT_BATCH]
            yield from self._walker.getattr_all([(*parent, name) for name in batch])

    def mkdir(self, path: Path, mode: int = 0o777) -> None:
        """Make a directory; its parent must exist.  Our umask is taken off ``mode``."""
        parent, name = split(path)
        permissions = mode & ~_umask()
        with self._walker.walked(parent, path) as fid:
            self.client.call(
                lambda tag: Tmkdir(tag, fid, name, permissions, os.getegid()), Rmkdir, shown(path)
            )

    def remove(self, path: Path) -> None:
        """Remove a file (not a directory)."""
        naming.unlink(self.client, self._walker, path)

    def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        naming.unlink(self.client, self._walker, path, directory=True)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or directory another name, in one step; a file at ``new`` is replaced."""
        naming.rename(self.client, self._walker, old, new)

    def rename_file(self, file: File, new: Path) -> None:
        """Give an open file another name, whatever name it has by now; ``new`` is replaced."""
        naming.rename_fid(self.client, self._walker, file.fid, file.name, new)

    def link(self, old: Path, new: Path) -> None:
        """Give a file (not a directory) one more name."""
        linking.link(self.client, self._walker, old, new)

    def symlink(self, target: Path, path: Path) -> None:
        """Make ``path`` a symbolic link; ``target`` may be anything."""
        linking.symlink(self.client, self._walker, target, path)

    def readlink(self, path: Path) -> str:
        """Where a symbolic link points."""
        return linking.readlink(self.client, self._walker, path)

    def mknod(self, path: Path, mode: int = 0o600, device: int = 0) -> None:
        """Make a FIFO, socket, device or (without a kind) regular file; our umask is taken off."""
        linking.mknod(self.client, self._walker, path, mode & ~_umask(), device)

    def getxattr(self, path: Path, name: Path) -> bytes:
        """An extended attribute's value; of a symbolic link, its own."""
        return xattrs.get(self.client, self._walker, path, os.fsencode(name))

    def listxattr(self, path: Path = "") -> list[str]:
        """The names of a file's extended attributes, sorted."""
        return xattrs.names(self.client, self._walker, path)

    def setxattr(self, path: Path, name: Path, value: bytes, flags: int = 0) -> None:
        """Set an extended attribute; ``flags`` are ``os.XATTR_*``.

        To replace a value by an empty one (``os.XATTR_REPLACE``) removes it: on the wire the two
        are the same.
        """
        xattrs.set_value(self.client, self._walker, path, os.fsencode(name), value, flags=flags)

    def removexattr(self, path: Path, name: Path) -> None:
        """Remove an extended attribute."""
        xattrs.remove(self.client, self._walker, path, os.fsencode(name))

    def statfs(self) -> FileSystem:
        """How much room the share has."""
        return FileSystem.of(
            self.client.call(lambda tag: Tstatfs(tag, self._root), Rstatfs, self.client.name)
        )

    def close(self) -> None:
        """End the session.  Idempotent."""
        self.client.close()

    def __enter__(self) -> Self:
        """The share itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _open(self, path: Path, flags: int) -> File:
        wanted = _dotl_flags(flags)
        fid = self._walker.walk(components(path), path)
        try:
            reply = self.client.call(lambda tag: Tlopen(tag, fid, wanted), Rlopen, shown(path))
        except BaseException:
            self._walker.clunk(fid)
            raise
        return File(self.client, fid, shown(path), reply.qid, reply.iounit)

    def _create(self, path: Path, flags: int, mode: int) -> File:
        parent, name = split(path)
        wanted = _dotl_flags(flags) | f.DOTL_CREATE | (f.DOTL_EXCL if flags & os.O_EXCL else 0)
        permissions = mode & ~_umask()
        fid = self._walker.walk(parent, path)
        try:
            reply = self.client.call(
                lambda tag: Tlcreate(tag, fid, name, wanted, permissions, os.getegid()),
                Rlcreate,
                shown(path),
            )
        except BaseException:
            self._walker.clunk(fid)
            raise
        return File(self.client, fid, shown(path), reply.qid, reply.iounit)

    def _read_entries(self, directory: File, offset: int) -> list[Dirent]:
        room = self.client.max_io  # P9_READDIRHDRSZ is P9_IOHDRSZ; diod takes no more than that
        data = bytearray()

        def collect(slices: Slices) -> None:
            for part in slices:
                data.extend(part)

        fid = directory.fid
        self.client.wait(
            self.client.submit(
                lambda tag: Treaddir(tag, fid, offset, room),
                Rreaddir,
                sink=collect,
                room=room,
                name=directory.name,
            )
        )
        try:
            return decode_entries(bytes(data))
        except ProtocolError as error:
            raise OSError(errno.EPROTO, str(error), directory.name) from error


def _dotl_flags(flags: int) -> int:
    """This host's open flags as 9P2000.L numbers them; the access mode has the same numbers."""
    wire = flags & os.O_ACCMODE
    for ours, theirs in _DOTL_FLAGS:
        if flags & ours == ours:
            wire |= theirs
    return wire


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
