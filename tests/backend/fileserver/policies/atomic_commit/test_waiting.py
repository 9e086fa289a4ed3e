"""``commit=atomic``: what the guest does while the data of a clunk are on their way to the disk."""

from __future__ import annotations

import errno
from collections.abc import Generator
from typing import TYPE_CHECKING

from backend.fileserver.deferred import resume, run_now
from backend.fileserver.handlers import HANDLERS
from protocol.ninep.flags import DOTL_RDWR
from protocol.ninep.messages import Tclunk
from tests.backend.fileserver.client import TAG, Client, refused
from tests.backend.fileserver.policies.atomic_commit.seen import dom0

if TYPE_CHECKING:
    from pathlib import Path

    from backend.fileserver.deferred import Deferred
    from protocol.ninep.ids import Fid
    from tests.backend.fileserver.disk import WatchedDisk


class TestWhileAClunkWaits:
    """The data are on their way to the disk, and the guest goes on."""

    def waiting(self, client: Client, fid: Fid) -> Deferred:
        steps = HANDLERS[Tclunk](client.session, Tclunk(TAG, fid))
        assert isinstance(steps, Generator)
        resume(steps, None)()
        return steps

    def test_the_file_is_opened_again(self, client: Client, export: Path) -> None:
        steps = self.waiting(client, client.create(b"file", data=b"first"))
        again = client.open(b"file", flags=DOTL_RDWR)
        client.write(again, b"second")
        run_now(steps)
        assert dom0(export) == {}
        client.clunk(again)
        assert dom0(export) == {"file": b"second"}

    def test_the_file_is_opened_again_and_closed_first(
        self, client: Client, export: Path, disk: WatchedDisk
    ) -> None:
        steps = self.waiting(client, client.create(b"file", data=b"first"))
        again = client.open(b"file", flags=DOTL_RDWR)
        client.write(again, b"second")
        client.clunk(again)
        assert dom0(export) == {"file": b"second"}
        run_now(steps)
        assert disk.synced == ["file", "file", "directory"]

    def test_the_file_is_opened_again_and_the_first_fails(
        self, client: Client, export: Path
    ) -> None:
        steps = self.waiting(client, client.create(b"file", data=b"first"))
        again = client.open(b"file", flags=DOTL_RDWR)
        with refused(errno.EIO):
            resume(steps, OSError(errno.EIO, "as a disk that dies"))
        # The next fsync(2) through the same description would say that all is well.
        with refused(errno.EIO):
            client.clunk(again)
        assert dom0(export) == {}

    def test_the_file_is_removed_or_renamed(self, client: Client, export: Path) -> None:
        removed = self.waiting(client, client.create(b"a", data=b"a"))
        renamed = self.waiting(client, client.create(b"b", data=b"b"))
        client.unlink(b"a")
        client.rename(b"b", b"c")
        run_now(removed)
        run_now(renamed)
        assert dom0(export) == {"c": b"b"}

    def test_the_session_ends(self, client: Client, export: Path) -> None:
        steps = self.waiting(client, client.create(b"file", data=b"whole"))
        client.mount()
        run_now(steps)
        assert dom0(export) == {"file": b"whole"}

    def test_nobody_goes_on(self, client: Client, export: Path) -> None:
        self.waiting(client, client.create(b"file", data=b"whole")).close()
        assert dom0(export) == {}
