"""9P2000.u on a share whose policies change what it shows and allows."""

from __future__ import annotations

import errno
import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from backend.fileserver.policies.read_only import ReadOnlyTree
from protocol.ninep.flags import (
    DMDEVICE,
    DMDIR,
    DMNAMEDPIPE,
    DMSETUID,
    DMSOCKET,
    DMSYMLINK,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
)
from tests.backend.fileserver.client import refused
from tests.backend.fileserver.dotu_client import DotuClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backend.fileserver.tree import Tree


@contextmanager
def mounted(export: Path, policy: Callable[[Tree], Tree]) -> Iterator[DotuClient]:
    with closing(DotuClient(str(export), wrap=policy)) as client:
        client.mount(n_uname=1000)
        yield client


@pytest.mark.usefixtures("user_attributes")
def test_every_kind_of_file_lives_in_attributes(export: Path) -> None:
    with mounted(export, MappedXattrTree) as client:
        client.clunk(client.create(b"file", 0o640 | DMSETUID))
        client.mkdir(b"dir", 0o750)
        client.symlink(b"link", b"target")
        client.mkfifo(b"fifo", 0o644)
        client.mksocket(b"socket", 0o644)
        client.mkdevice(b"char", b"c 1 3", 0o666)
        client.mkdevice(b"block", b"b 8 17", 0o660)
        entries = {entry.name: entry for entry in client.entries(client.open())}
        for name, entry in entries.items():
            assert client.stat(client.walk(name)) == entry
            assert entry.n_uid == 1000
    assert {name: (entry.mode, entry.extension) for name, entry in entries.items()} == {
        b"file": (0o640 | DMSETUID, b"HARDLINKCOUNT 1"),
        b"dir": (DMDIR | 0o750, entries[b"dir"].extension),
        b"link": (DMSYMLINK | 0o777, b"target"),
        b"fifo": (DMNAMEDPIPE | 0o644, b""),
        b"socket": (DMSOCKET | 0o644, b""),
        b"char": (DMDEVICE | 0o666, b"c 1 3"),
        b"block": (DMDEVICE | 0o660, b"b 8 17"),
    }
    assert all(path.is_file() or path.is_dir() for path in export.iterdir())


@pytest.mark.usefixtures("user_attributes")
def test_an_owner_is_whatever_the_guest_says(export: Path) -> None:
    with mounted(export, MappedXattrTree) as client:
        fid = client.create(b"f")
        client.wstat(fid, n_uid=77, n_gid=88)
        found = client.stat(fid)
    assert (found.n_uid, found.n_gid) == (77, 88)
    assert (export / "f").stat().st_uid == os.geteuid()


def test_a_read_only_share_can_be_looked_at_and_no_more(export: Path) -> None:
    (export / "f").write_bytes(b"content")
    with mounted(export, ReadOnlyTree) as client:
        assert client.names() == {b"f"}
        fid = client.open(b"f")
        assert client.read(fid, 100) == b"content"
        client.fsync(fid)
        for mode in (OWRITE, ORDWR, OREAD | OTRUNC):
            with refused(errno.EROFS):
                client.open(b"f", mode=mode)
        for perm in (0o644, DMDIR | 0o755, DMNAMEDPIPE, DMSYMLINK):
            with refused(errno.EROFS):
                client.make(b"g", perm, b"x")
        with refused(errno.EROFS):
            client.link(fid, b"g")
        for change in ({"length": 0}, {"mode": 0o600}, {"mtime": 1}, {"name": b"g"}):
            with refused(errno.EROFS):
                client.wstat(client.walk(b"f"), **change)
        with refused(errno.EROFS):
            client.clunk(client.open(b"f", mode=ORCLOSE))
    assert (export / "f").read_bytes() == b"content"


class TestAtomic:
    def test_a_file_appears_when_it_is_clunked(self, export: Path) -> None:
        with mounted(export, AtomicCommitTree) as client:
            fid = client.create(b"f", data=b"content")
            # Linux walks to what it has just created, and looks at it.
            again = client.walk(b"f")
            assert client.stat(again).qid.path == client.stat(fid).qid.path
            assert client.names() == {b"f"}
            assert os.listdir(export) == []
            client.clunk(fid)
            assert (export / "f").read_bytes() == b"content"

    def test_it_can_be_renamed_before(self, export: Path) -> None:
        with mounted(export, AtomicCommitTree) as client:
            fid = client.create(b"f", data=b"content")
            client.rename(fid, b"g")
            client.clunk(fid)
        assert os.listdir(export) == ["g"]

    def test_one_that_is_removed_on_close_never_appears(self, export: Path) -> None:
        with mounted(export, AtomicCommitTree) as client:
            client.clunk(client.create(b"f", mode=ORDWR | ORCLOSE, data=b"scratch"))
            assert client.names() == set()
            client.create(b"g", mode=ORDWR | ORCLOSE, data=b"scratch")
        assert os.listdir(export) == []
