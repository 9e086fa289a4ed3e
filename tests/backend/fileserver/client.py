"""A client without a wire: calls the handlers as the pump does, and keeps fid numbers apart."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from backend.fileserver import directories, io
from backend.fileserver.deferred import run_now
from backend.fileserver.handlers import HANDLERS
from backend.fileserver.limits import Limits
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.parked import Parked
from backend.fileserver.session import Session
from protocol.ninep.directory import decode_entries
from protocol.ninep.flags import (
    DOTL_DIRECTORY,
    DOTL_RDONLY,
    DOTL_RDWR,
    LOCK_FLAGS_BLOCK,
    LOCK_SUCCESS,
    LOCK_TYPE_UNLCK,
    LOCK_TYPE_WRLCK,
    SETATTR_SIZE,
    XATTR_REPLACE,
)
from protocol.ninep.ids import NOFID, NONUNAME, NOTAG, Fid, Tag
from protocol.ninep.messages import (
    Rgetattr,
    Rgetlock,
    Rlock,
    Tattach,
    Tclunk,
    Tfsync,
    Tgetattr,
    Tgetlock,
    Tlcreate,
    Tlink,
    Tlock,
    Tlopen,
    Tmkdir,
    Tmknod,
    Tread,
    Treaddir,
    Treadlink,
    Tremove,
    Trename,
    Trenameat,
    Tsetattr,
    Tstatfs,
    Tsymlink,
    Tunlinkat,
    Tversion,
    Twalk,
    Twrite,
    Txattrcreate,
    Txattrwalk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Dirent, Qid

TAG = Tag(1)
ROOT = Fid(0)
NO_ID = NONUNAME
SECRET = b"not for guests"
BAD_NAMES = [
    (b"", errno.ENOENT),
    (b".", errno.EINVAL),
    (b"..", errno.EINVAL),
    (b"../secret", errno.EINVAL),
    (b"dir/file", errno.EINVAL),
    (b"file\0", errno.EINVAL),
    (b"x" * 256, errno.ENAMETOOLONG),
]
"""Names that no request makes or changes, and what it says."""


@contextmanager
def refused(code: int) -> Iterator[None]:
    """The body raises ``OSError`` with this errno, and nothing else."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 -- the errno is what matters
        yield
    number = caught.value.errno
    assert number == code, f"{errno.errorcode.get(number or 0)}: {caught.value}"


def outcome(attempt: Callable[[], Any], *allowed: int) -> tuple[int, Any]:
    """0 and what ``attempt`` gave, or the errno that it raised, which must be an allowed one."""
    try:
        return 0, attempt()
    except OSError as error:
        if error.errno not in allowed:
            raise
        return error.errno, None


@contextmanager
def unprivileged() -> Iterator[None]:
    """The body runs without root's rights: as nobody if this is root, else as it is."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


class AnyClient:
    """One session, and what both dialects have in common.

    ``call`` raises what the pump would turn into an error reply.
    """

    version: ClassVar[bytes]

    def __init__(
        self, root: str, limits: Limits | None = None, wrap: Callable[[Tree], Tree] | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.local = LocalTree(root)
        self.session = Session(wrap(self.local) if wrap else self.local, self.limits, 1 << 20)
        self._fids = itertools.count(1)

    def close(self) -> None:
        self.session.close()
        assert self.local._descriptors.used == 0
        assert len(self.session.places) == 0
        assert not any(slots.used for slots in self.slots())
        assert len(self.session.locks) == 0

    def slots(self) -> list[Any]:
        return [getattr(self.limits, field.name) for field in dataclasses.fields(self.limits)]

    def call(self, request: Any) -> Any:
        answer = HANDLERS[type(request)](self.session, request)
        if isinstance(answer, Generator):
            answer = run_now(answer)
        if not isinstance(answer, Parked):
            assert answer.tag == request.tag
        return answer

    def call_or_clunk(self, fid: Fid, request: Any) -> Fid:
        """``call`` a request on ``fid``, which is clunked if that fails."""
        try:
            self.call(request)
        except OSError:
            self.clunk(fid)
            raise
        return fid

    def fid(self) -> Fid:
        """A number that is not in use."""
        return Fid(next(self._fids))

    def mount(self, n_uname: int = NO_ID) -> None:
        self.call(Tversion(NOTAG, 1 << 20, self.version))
        self.call(Tattach(TAG, ROOT, NOFID, b"", b"", n_uname))

    def walk(self, *names: bytes, fid: Fid = ROOT) -> Fid:
        """Walk all the way, or fail with the errno of the name that stopped it."""
        newfid = self.fid()
        known = len(self.call(Twalk(TAG, fid, newfid, names)).wqids)
        if known < len(names):
            self.call(Twalk(TAG, fid, newfid, names[:known]))
            try:
                self.call(Twalk(TAG, newfid, newfid, names[known:]))
            except OSError:
                self.clunk(newfid)
                raise
        return newfid

    def clunk(self, fid: Fid) -> None:
        self.call(Tclunk(TAG, fid))

    def remove(self, fid: Fid) -> None:
        self.call(Tremove(TAG, fid))

    def read(self, fid: Fid, count: int, offset: int = 0, *, split: int = 0) -> bytes:
        """``split``: where the buffer is cut in two, as at a ring's end."""
        data = bytearray(count)
        view = memoryview(data)
        buffers = [view[:split], view[split:]] if split else [view]
        done = io.read(self.session, Tread(TAG, fid, offset, count), buffers)
        return bytes(data[:done])

    def write(self, fid: Fid, data: bytes, offset: int = 0, *, split: int = 0) -> int:
        view = memoryview(data)
        buffers = [view[:split], view[split:]] if split else [view]
        return io.write(self.session, Twrite(TAG, fid, offset, len(data)), buffers)

    def in_use(self) -> set[Fid]:
        return set(self.session.fids)


class Client(AnyClient):
    """A client of 9P2000.L."""

    version = b"9P2000.L"

    def open(self, *names: bytes, flags: int = DOTL_RDONLY, fid: Fid = ROOT) -> Fid:
        opened = self.walk(*names, fid=fid)
        return self.call_or_clunk(opened, Tlopen(TAG, opened, flags))

    def create(
        self,
        name: bytes,
        flags: int = DOTL_RDWR,
        mode: int = 0o644,
        *,
        data: bytes = b"",
        fid: Fid = ROOT,
        gid: int = NO_ID,
    ) -> Fid:
        created = self.walk(fid=fid)
        self.call_or_clunk(created, Tlcreate(TAG, created, name, flags, mode, gid))
        if data:
            assert self.write(created, data) == len(data)
        return created

    def readdir(self, fid: Fid, offset: int = 0, room: int = 1 << 16) -> list[Dirent]:
        data = directories.readdir(self.session, Treaddir(TAG, fid, offset, room), room)
        assert len(data) <= room
        return decode_entries(data)

    def entries(self, fid: Fid, room: int = 1 << 16) -> list[Dirent]:
        """All entries but ``.`` and ``..``."""
        found: list[Dirent] = []
        offset = 0
        while batch := self.readdir(fid, offset, room):
            found += batch
            offset = batch[-1].offset
        return [entry for entry in found if entry.name not in (b".", b"..")]

    def names(self, *names: bytes) -> set[bytes]:
        fid = self.open(*names, flags=DOTL_DIRECTORY)
        found = {entry.name for entry in self.entries(fid)}
        self.clunk(fid)
        return found

    def getattr(self, fid: Fid) -> Rgetattr:
        reply = self.call(Tgetattr(TAG, fid, 0x17FF))
        assert isinstance(reply, Rgetattr)
        return reply

    def setattr(self, fid: Fid, valid: int, **fields: int) -> None:
        values = [fields.pop(name, 0) for name in Tsetattr._fields[3:]]
        assert not fields
        self.call(Tsetattr(TAG, fid, valid, *values))

    def truncate(self, fid: Fid, size: int) -> None:
        self.setattr(fid, SETATTR_SIZE, size=size)

    def mkdir(self, name: bytes, mode: int = 0o755, *, fid: Fid = ROOT, gid: int = NO_ID) -> Qid:
        qid: Qid = self.call(Tmkdir(TAG, fid, name, mode, gid)).qid
        return qid

    def unlink(self, name: bytes, flags: int = 0, *, fid: Fid = ROOT) -> None:
        self.call(Tunlinkat(TAG, fid, name, flags))

    def rename(self, old: bytes, new: bytes, *, fid: Fid = ROOT, to: Fid = ROOT) -> None:
        self.call(Trenameat(TAG, fid, old, to, new))

    def rename_fid(self, fid: Fid, name: bytes, *, to: Fid = ROOT) -> None:
        self.call(Trename(TAG, fid, to, name))

    def symlink(self, name: bytes, target: bytes, *, fid: Fid = ROOT) -> Qid:
        qid: Qid = self.call(Tsymlink(TAG, fid, name, target, NO_ID)).qid
        return qid

    def readlink(self, fid: Fid) -> bytes:
        target: bytes = self.call(Treadlink(TAG, fid)).target
        return target

    def mknod(
        self, name: bytes, mode: int, device: tuple[int, int] = (0, 0), *, fid: Fid = ROOT
    ) -> Qid:
        qid: Qid = self.call(Tmknod(TAG, fid, name, mode, *device, NO_ID)).qid
        return qid

    def link(self, fid: Fid, name: bytes, *, to: Fid = ROOT) -> None:
        self.call(Tlink(TAG, to, fid, name))

    def xattr_fid(self, fid: Fid, name: bytes = b"") -> tuple[Fid, int]:
        """A fid to read an attribute, or the list of them, and how many bytes there are."""
        newfid = self.fid()
        return newfid, self.call(Txattrwalk(TAG, fid, newfid, name)).size

    def getxattr(self, fid: Fid, name: bytes = b"") -> bytes:
        found, size = self.xattr_fid(fid, name)
        value = self.read(found, size + 1, split=size // 2)
        assert len(value) == size
        self.clunk(found)
        return value

    def setxattr(self, fid: Fid, name: bytes, value: bytes, flags: int = 0) -> None:
        clone = self.walk(fid=fid)
        try:
            self.call(Txattrcreate(TAG, clone, name, len(value), flags))
            if value:
                assert self.write(clone, value, split=len(value) // 3) == len(value)
        except OSError:
            self.clunk(clone)
            raise
        self.clunk(clone)

    def removexattr(self, fid: Fid, name: bytes) -> None:
        """As Linux does it."""
        self.setxattr(fid, name, b"", XATTR_REPLACE)

    def fsync(self, fid: Fid, datasync: int = 0) -> None:
        self.call(Tfsync(TAG, fid, datasync))

    def lock(
        self,
        fid: Fid,
        kind: int = LOCK_TYPE_WRLCK,
        start: int = 0,
        length: int = 0,
        *,
        pid: int = 1,
        flags: int = 0,
    ) -> int:
        """The status."""
        reply = self.call(Tlock(TAG, fid, kind, flags, start, length, pid, b"guest"))
        assert isinstance(reply, Rlock)
        return reply.status

    def unlock(self, fid: Fid, start: int = 0, length: int = 0, *, pid: int = 1) -> None:
        assert self.lock(fid, LOCK_TYPE_UNLCK, start, length, pid=pid) == LOCK_SUCCESS

    def wait_for_lock(
        self,
        fid: Fid,
        kind: int = LOCK_TYPE_WRLCK,
        start: int = 0,
        length: int = 0,
        *,
        pid: int = 1,
    ) -> Parked:
        """A lock that is not free yet."""
        flags = LOCK_FLAGS_BLOCK
        parked = self.call(Tlock(TAG, fid, kind, flags, start, length, pid, b"guest"))
        assert isinstance(parked, Parked)
        return parked

    def getlock(
        self,
        fid: Fid,
        kind: int = LOCK_TYPE_WRLCK,
        start: int = 0,
        length: int = 0,
        *,
        pid: int = 1,
    ) -> tuple[int, int, int, int, bytes]:
        """Type, start, length, proc_id, client_id of the lock in the way."""
        reply = self.call(Tgetlock(TAG, fid, kind, start, length, pid, b"guest"))
        assert isinstance(reply, Rgetlock)
        return reply[1:]

    def statfs(self, fid: Fid = ROOT) -> Any:
        return self.call(Tstatfs(TAG, fid))
