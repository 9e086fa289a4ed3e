"""Sync on close: on disk before the clunk is answered, and nobody else waits for that."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.deferred import resume
from backend.fileserver.handlers import HANDLERS
from backend.fileserver.policies.sync_on_close import SyncOnCloseTree
from protocol.ninep.flags import DOTL_RDONLY, DOTL_RDWR, DOTL_WRONLY
from protocol.ninep.messages import Rclunk, Tclunk
from tests.backend.fileserver.client import ROOT, TAG, Client, refused
from tests.backend.fileserver.disk import WatchedDisk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def disk() -> WatchedDisk:
    return WatchedDisk()


@pytest.fixture
def client(export: Path, disk: WatchedDisk) -> Iterator[Client]:
    client = Client(str(export), wrap=lambda local: SyncOnCloseTree(disk.wrap(local)))
    client.mount()
    yield client
    client.close()


def test_a_new_file_and_its_entry_are_on_disk_before_the_answer(
    client: Client, disk: WatchedDisk
) -> None:
    fid = client.create(b"file", data=b"x")
    waiting = HANDLERS[Tclunk](client.session, Tclunk(TAG, fid))
    assert client.in_use() == {ROOT}
    for expected in (["file"], ["file", "directory"]):
        step = resume(waiting, None)  # type: ignore[arg-type]
        client.getattr(ROOT)
        step()
        assert disk.synced == expected
    with pytest.raises(StopIteration) as end:
        resume(waiting, None)  # type: ignore[arg-type]
    assert end.value.value == Rclunk(TAG)


def test_what_was_there_is_synced_without_its_entry(
    client: Client, disk: WatchedDisk, export: Path
) -> None:
    (export / "file").write_bytes(b"data")
    for flags in (DOTL_WRONLY, DOTL_RDWR):
        client.clunk(client.open(b"file", flags=flags))
    assert disk.synced == ["file", "file"]


def test_what_was_only_read_is_not_waited_for(
    client: Client, disk: WatchedDisk, export: Path
) -> None:
    (export / "file").write_bytes(b"data")
    client.clunk(client.open(b"file"))
    client.clunk(client.walk(b"file"))
    client.clunk(client.open())
    assert disk.synced == []
    client.clunk(client.create(b"empty", DOTL_RDONLY))
    assert disk.synced == ["file", "directory"]


@pytest.mark.parametrize("broken", ["file", "directory"])
def test_an_error_is_told_and_the_fid_is_gone(
    client: Client, disk: WatchedDisk, export: Path, broken: str
) -> None:
    for finish in (client.clunk, client.remove):
        fid = client.create(b"file", data=b"x")
        disk.fail(errno.EIO, broken)
        with refused(errno.EIO):
            finish(fid)
        disk.fail(0)
        assert client.in_use() == {ROOT}


def test_a_session_that_ends_waits_for_no_disk(client: Client, disk: WatchedDisk) -> None:
    client.create(b"file", data=b"x")
    client.mount()
    assert disk.synced == []
