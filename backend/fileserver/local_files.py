"""Open files and directories of a Dom0 directory: ``files.File`` on a descriptor."""

from __future__ import annotations

import errno
import os
import stat
from struct import Struct
from typing import TYPE_CHECKING, Final

from backend.fileserver.files import OpenNote
from backend.fileserver.packing import refuse_room
from backend.fileserver.syscalls import getdents64
from protocol.ninep.directory import ENTRY, ENTRY_SIZE
from protocol.ninep.flags import QTDIR, QTFILE, QTSYMLINK
from protocol.ninep.messages import Dirent, Qid
from protocol.ninep.unchecked import unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.fileserver.limits import Slots
    from backend.fileserver.qids import QidSpace

MAX_OFFSET: Final = (1 << 63) - 1
"""``loff_t`` has a sign.  The wire's offsets have none, so half of them are nobody's."""

READ_AHEAD: Final = 32 * 1024
"""Bytes of directory entries asked of the kernel at once, as glibc does: some 1,000 entries."""

# struct linux_dirent64: ino, cookie of the next entry, length of this record, type; then the name.
_DIRENT: Final = Struct("=QqHB")
_NAME_AT: Final = _DIRENT.size
_unpack = _DIRENT.unpack_from
_pack_entry = ENTRY.pack
# DT_DIR and DT_LNK are the kind bits of the mode, moved down (readdir(3)).
_QID_TYPES: Final = {stat.S_IFDIR >> 12: QTDIR, stat.S_IFLNK >> 12: QTSYMLINK}


class LocalPin:
    """A second descriptor of the same open file; nothing else may be done with it."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)

    def sync(self, *, data_only: bool) -> None:
        """Have all data (and, unless ``data_only``, all attributes) on disk."""
        if data_only:
            os.fdatasync(self._fd)
        else:
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


class _Opened:
    """What open files and open directories have in common."""

    __slots__ = ("_fd", "descriptors", "writable")

    def __init__(self, fd: int, descriptors: Slots, *, writable: bool) -> None:
        """Take over ``fd`` and the slot that was taken for it."""
        self._fd: Final = fd
        self.descriptors: Final = descriptors
        self.writable: Final = writable

    def fileno(self) -> int:
        return self._fd

    def pin(self) -> LocalPin:
        return LocalPin(self._fd)

    def note(self) -> OpenNote | None:
        return OpenNote()

    def close(self) -> None:
        dispose = self.descriptors.dispose
        self.descriptors.give()
        try:
            if self.writable and dispose is not os.close:
                # What closing has to report (a network file system's EDQUOT), it reports now.
                os.close(os.dup(self._fd))
        finally:
            dispose(self._fd)

    def closing(self) -> None:
        """The page cache takes it all: close(2) of a local file does not wait."""

    def discard(self) -> None:
        self.close()


class LocalFile(_Opened):
    """An open regular file.

    With ``O_APPEND`` the kernel writes at the end of the file and ignores the offset, atomically
    among all writers.  That is what 9P means by an append-only open (open(5)), and what the
    program in the guest asked for; QEMU and diod do the same.  A client that writes back cached
    pages through such a fid (Linux with ``cache=mmap`` or ``loose``) breaks its own file with any
    of these servers.
    """

    __slots__ = ()

    def read(self, buffers: Sequence[memoryview], offset: int) -> int:
        if offset > MAX_OFFSET:
            raise OSError(errno.EINVAL, f"offset {offset} is beyond any file")
        done = os.preadv(self._fd, buffers, offset)
        if done and done < _length(buffers):
            done = _read_rest(self._fd, buffers, offset, done)
        return done

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:
        if offset > MAX_OFFSET:
            raise OSError(errno.EFBIG, f"offset {offset} is beyond any file")
        done = os.pwritev(self._fd, buffers, offset)
        if done and done < _length(buffers):
            return _write_rest(self._fd, buffers, offset, done)
        return done

    def entries(self, cookie: int) -> Iterator[Dirent]:
        raise OSError(errno.ENOTDIR, f"no directory, so no entries after {cookie}")

    def pack_entries(self, cookie: int, room: int) -> bytes:  # noqa: ARG002 -- File's
        raise OSError(errno.ENOTDIR, f"no directory, so no entries after {cookie}")


class LocalDirectory(_Opened):
    """An open directory, and the entries that were read from it but not yet accepted.

    Cookies are the file system's own (``d_off``): any one it ever gave can be returned to, also
    when entries came and went meanwhile.
    """

    __slots__ = ("_above", "_cookie", "_dev", "_qids", "_raw", "_raw_at")

    def __init__(self, fd: int, descriptors: Slots, qids: QidSpace, above: int | None) -> None:
        """``above``: the qid path to show for ``..`` in place of the real one.

        At the root that is the root's own: nothing above it is the guest's business.
        """
        super().__init__(fd, descriptors, writable=False)
        self._qids = qids
        self._dev = os.fstat(fd).st_dev
        self._above = above
        self._raw = b""
        self._raw_at = 0
        self._cookie = 0

    def read(self, buffers: Sequence[memoryview], offset: int) -> int:  # noqa: ARG002 -- File's
        raise OSError(errno.EISDIR, "a directory is read by Treaddir")

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:  # noqa: ARG002 -- File's
        raise OSError(errno.EBADF, "a directory is never open for writing")

    def entries(self, cookie: int) -> Iterator[Dirent]:
        self._go_to(cookie)
        plain = self._qids.plain_up_to(self._dev)
        while self._fill():
            ino, following, length, kind = _unpack(self._raw, self._raw_at)
            start = self._raw_at + _NAME_AT
            name = self._raw[start : self._raw.index(0, start)]
            path = ino if ino <= plain and name != b".." else self._path(ino, name)
            qid = unchecked(Qid, (_QID_TYPES.get(kind, QTFILE), 0, path))
            yield unchecked(Dirent, (qid, following, kind, name))
            self._raw_at += length
            self._cookie = following

    def pack_entries(self, cookie: int, room: int) -> bytes:
        self._go_to(cookie)
        parts: list[bytes] = []
        left = room
        try:
            while left >= 0 and self._fill():
                left = self._pack(parts, left)
        except OSError:
            # What was read is good, and the client will come for the rest.
            if not parts:
                raise
        if left < 0 and not parts:
            refuse_room(room)
        return b"".join(parts)

    def _go_to(self, cookie: int) -> None:
        if cookie > MAX_OFFSET:
            raise OSError(errno.EINVAL, f"{cookie} is no position in a directory")
        # Position 0 always starts afresh, as rewinddir(3) does: entries made since then appear.
        if cookie != self._cookie or not cookie:
            os.lseek(self._fd, cookie, os.SEEK_SET)
            self._raw = b""
            self._raw_at = 0
            self._cookie = cookie

    def _fill(self) -> bool:
        """Whether there are records that were not accepted yet."""
        if self._raw_at >= len(self._raw):
            self._raw = getdents64(self._fd, READ_AHEAD)
            self._raw_at = 0
        return bool(self._raw)

    def _pack(self, parts: list[bytes], left: int) -> int:
        """Accept the records in ``_raw`` that fit; what is left of ``left``, below 0: not all did.

        The same as ``entries``, in half the time: one loop without a call of ours per entry.
        """
        raw, at, cookie = self._raw, self._raw_at, self._cookie
        end = len(raw)
        plain = self._qids.plain_up_to(self._dev)
        while at < end:
            ino, following, length, kind = _unpack(raw, at)
            start = at + _NAME_AT
            stop = raw.index(0, start)
            left -= ENTRY_SIZE + stop - start
            if left < 0:
                break
            name = raw[start:stop]
            path = ino if ino <= plain and name != b".." else self._path(ino, name)
            parts.append(
                _pack_entry(_QID_TYPES.get(kind, QTFILE), 0, path, following, kind, stop - start)
            )
            parts.append(name)
            at += length
            cookie = following
        self._raw_at, self._cookie = at, cookie
        return left

    def _path(self, ino: int, name: bytes) -> int:
        if self._above is not None and name == b"..":
            return self._above
        return self._qids.path(self._dev, ino)


def _length(buffers: Sequence[memoryview]) -> int:
    return len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))


def _read_rest(fd: int, buffers: Sequence[memoryview], offset: int, done: int) -> int:
    """After a short read: until all is done, or nothing more comes.

    An error after progress is kept back: what was done is told, and the client meets the error
    when it comes for the rest.
    """
    while rest := _rest(buffers, done):
        try:
            more = os.preadv(fd, rest, offset + done)
        except OSError:
            break
        if not more:
            break
        done += more
    return done


def _write_rest(fd: int, buffers: Sequence[memoryview], offset: int, done: int) -> int:
    """After a short write: until all is done.

    An error counts, whatever was done before: Linux 6.12, told of a part and then of an error,
    writes the rest once more, over that part, and tells the program that all is well.
    """
    while rest := _rest(buffers, done):
        done += os.pwritev(fd, rest, offset + done)
    return done


def _rest(buffers: Sequence[memoryview], done: int) -> list[memoryview]:
    """What is left of ``buffers`` after their first ``done`` bytes; empty views are left out."""
    rest = []
    for buffer in buffers:
        if done < len(buffer):
            rest.append(buffer[done:])
        done = max(0, done - len(buffer))
    return rest
