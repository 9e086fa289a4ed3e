"""Writes cpio archives of the "newc" kind, which the kernel unpacks as its first root.

The format is described in Linux ``Documentation/driver-api/early-userspace/buffer-format.rst``.
Archives may be concatenated; a later entry takes an earlier one's place.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import IO, Self

_TRAILER: Final = b"TRAILER!!!"
_KINDS: Final = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


class Archive:
    """One archive; a context manager that ends it."""

    def __init__(self, out: BinaryIO) -> None:
        self._out: Final = out
        self._inode = 0

    def add(self, name: str, mode: int, data: bytes = b"") -> None:
        """An entry whose data lies in memory; ``mode`` with its type."""
        self._head(name, mode, len(data))
        self._out.write(data)
        self._pad(len(data))

    def add_tar(self, tar: tarfile.TarFile, wanted: Callable[[str], bool]) -> None:
        """Every wanted member of a tar archive; a hard link becomes a copy.

        With its time: by that Python knows whether what it compiled is still true.
        """
        for member in _plain(tar, wanted):
            source = member
            while source.islnk():
                source = tar.getmember(source.linkname)
            kind = _KINDS[source.type]
            data = source.linkname.encode() if source.issym() else None
            size = len(data) if data is not None else source.size
            self._head(
                member.name.removeprefix("./"),
                kind | source.mode,
                size,
                (source.uid, source.gid),
                (source.devmajor, source.devminor) if source.isdev() else (0, 0),
                time=int(source.mtime),
            )
            if data is not None:
                self._out.write(data)
            elif (file := tar.extractfile(source)) is not None:
                _copy(file, self._out)
            self._pad(size)

    def _head(
        self,
        name: str,
        mode: int,
        size: int,
        owner: tuple[int, int] = (0, 0),
        device: tuple[int, int] = (0, 0),
        *,
        time: int = 0,
    ) -> None:
        encoded = name.encode() + b"\0"
        self._inode += 1
        fields = (self._inode, mode, *owner, 1, time, size, 0, 0, *device, len(encoded), 0)
        self._out.write(b"070701" + b"".join(b"%08x" % field for field in fields) + encoded)
        self._pad(6 + 8 * len(fields) + len(encoded))

    def _pad(self, length: int) -> None:
        self._out.write(bytes(-length % 4))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._head(_TRAILER.decode(), 0, 0)


def _plain(tar: tarfile.TarFile, wanted: Callable[[str], bool]) -> Iterable[tarfile.TarInfo]:
    return (member for member in tar if member.name != "." and wanted(member.name))


def _copy(source: IO[bytes], target: BinaryIO) -> None:
    with source:
        shutil.copyfileobj(source, target, 1 << 20)
