"""``commit=atomic`` on named files: what a stub domain gets."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from backend.share import Commit, NamedFile, Share
from protocol.ninep.flags import DOTL_TRUNC, DOTL_WRONLY
from tests.backend.fileserver.client import ROOT, Client, refused
from tests.backend.fileserver.policies.atomic_commit.seen import dom0, truncated
from tests.backend.fileserver.policies.share_client import ShareClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TestNamedFiles:
    """What a stub domain gets."""

    @pytest.fixture
    def guest(self, _kernel: None, export: Path) -> Iterator[Client]:
        files = (
            NamedFile("save", str(export / "qemu-save.7"), writable=True),
            NamedFile("load", str(export / "restore.7"), writable=False),
        )
        guest = ShareClient(Share(files=files, commit=Commit.ATOMIC))
        yield guest
        guest.close()

    def test_a_save_appears_whole_and_a_shorter_one_leaves_no_tail(
        self, guest: Client, export: Path
    ) -> None:
        for data in (b"a long state", b"short"):
            before = dom0(export)
            if before:
                fid = truncated(guest, b"save", "Tsetattr")
            else:
                with refused(errno.ENOENT):
                    guest.walk(b"save")
                fid = guest.create(b"save", DOTL_WRONLY, 0o660)
            guest.write(fid, data)
            assert dom0(export) == before
            assert guest.names() == {b"save"}
            guest.clunk(fid)
            assert dom0(export) == {"qemu-save.7": data}
        guest.write(truncated(guest, b"save", "Tsetattr"), b"interrupted")
        guest.mount()
        assert dom0(export) == {"qemu-save.7": b"short"}

    def test_only_what_is_writable(self, guest: Client, export: Path) -> None:
        with refused(errno.EACCES):
            guest.create(b"load")
        with refused(errno.EACCES):
            guest.create(b"neighbour")
        (export / "restore.7").write_bytes(b"state")
        with refused(errno.EACCES):
            guest.open(b"load", flags=DOTL_WRONLY | DOTL_TRUNC)
        fid = guest.create(b"save", data=b"x")
        for name in (b"load", b"neighbour"):
            with refused(errno.EXDEV):
                guest.rename(b"save", name)
        guest.unlink(b"save")
        guest.clunk(fid)
        assert dom0(export) == {"restore.7": b"state"}
        assert guest.in_use() == {ROOT}
