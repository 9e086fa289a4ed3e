"""A client of 9P2000.u without a wire: what ``client.Client`` is for 9P2000.L."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from protocol.ninep.directory import decode_stats
from protocol.ninep.flags import (
    DMDEVICE,
    DMDIR,
    DMLINK,
    DMNAMEDPIPE,
    DMSOCKET,
    DMSYMLINK,
    ORDWR,
    OREAD,
)
from protocol.ninep.messages import Qid, Rstat, Stat, Tcreate, Topen, Tstat, Twstat

from .client import ROOT, TAG, AnyClient

if TYPE_CHECKING:
    from protocol.ninep.ids import Fid

ONES: Final = 0xFFFF_FFFF
UNTOUCHED: Final = Stat(
    type=0xFFFF,
    dev=ONES,
    qid=Qid(0xFF, ONES, 0xFFFF_FFFF_FFFF_FFFF),
    mode=ONES,
    atime=ONES,
    mtime=ONES,
    length=0xFFFF_FFFF_FFFF_FFFF,
    name=b"",
    uid=b"",
    gid=b"",
    muid=b"",
    extension=b"",
    n_uid=ONES,
    n_gid=ONES,
    n_muid=ONES,
)
"""What Linux fills in for "leave it as it is" (fs/9p, v9fs_blank_wstat)."""


class DotuClient(AnyClient):
    """A client of 9P2000.u.  What creates clunks its fid again, but for ``create``."""

    version = b"9P2000.u"

    def open(self, *names: bytes, mode: int = OREAD, fid: Fid = ROOT) -> Fid:
        opened = self.walk(*names, fid=fid)
        return self.call_or_clunk(opened, Topen(TAG, opened, mode))

    def create(
        self,
        name: bytes,
        perm: int = 0o644,
        mode: int = ORDWR,
        extension: bytes = b"",
        *,
        data: bytes = b"",
        fid: Fid = ROOT,
    ) -> Fid:
        """The fid that became the new file, which is open if it is a regular one or a directory."""
        created = self.walk(fid=fid)
        self.call_or_clunk(created, Tcreate(TAG, created, name, perm, mode, extension))
        if data:
            assert self.write(created, data) == len(data)
        return created

    def make(self, name: bytes, perm: int, extension: bytes = b"", *, fid: Fid = ROOT) -> None:
        """Create any other file than a regular one, as Linux does."""
        self.clunk(self.create(name, perm, OREAD, extension, fid=fid))

    def mkdir(self, name: bytes, mode: int = 0o755, *, fid: Fid = ROOT) -> None:
        self.make(name, DMDIR | mode, fid=fid)

    def symlink(self, name: bytes, target: bytes, *, fid: Fid = ROOT) -> None:
        self.make(name, DMSYMLINK, target, fid=fid)

    def link(self, file: Fid, name: bytes, *, fid: Fid = ROOT) -> None:
        """One more name, in the directory ``fid``, for the file that ``file`` stands for."""
        self.make(name, DMLINK, b"%d\n" % file, fid=fid)

    def mkfifo(self, name: bytes, mode: int = 0o644) -> None:
        self.make(name, DMNAMEDPIPE | mode)

    def mksocket(self, name: bytes, mode: int = 0o644) -> None:
        self.make(name, DMSOCKET | mode)

    def mkdevice(self, name: bytes, device: bytes, mode: int = 0o600) -> None:
        """``device`` as in ``c 1 3``."""
        self.make(name, DMDEVICE | mode, device)

    def stat(self, fid: Fid) -> Stat:
        reply = self.call(Tstat(TAG, fid))
        assert isinstance(reply, Rstat)
        return reply.stat

    def readlink(self, fid: Fid) -> bytes:
        found = self.stat(fid)
        assert found.mode & DMSYMLINK
        return found.extension

    def wstat(self, fid: Fid, **fields: Any) -> None:
        self.call(Twstat(TAG, fid, UNTOUCHED._replace(**fields)))

    def truncate(self, fid: Fid, size: int) -> None:
        self.wstat(fid, length=size)

    def rename(self, fid: Fid, name: bytes) -> None:
        """Within its directory: this dialect has no other."""
        self.wstat(fid, name=name)

    def fsync(self, fid: Fid) -> None:
        self.wstat(fid)

    def entries(self, fid: Fid, room: int = 1 << 16, offset: int = 0) -> list[Stat]:
        """All entries after ``offset``, read in replies of at most ``room`` bytes."""
        found: list[Stat] = []
        while data := self.read(fid, room, offset):
            found += decode_stats(data)
            offset += len(data)
        return found

    def names(self, *names: bytes) -> set[bytes]:
        fid = self.open(*names)
        found = {entry.name for entry in self.entries(fid)}
        self.clunk(fid)
        return found
