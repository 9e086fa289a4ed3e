"""Tfsync: what is pinned stays pinned, whatever becomes of the fid."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.deferred import resume
from backend.fileserver.syncing import fsync
from protocol.ninep.flags import DOTL_DIRECTORY
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Rfsync, Tfsync

from .client import TAG, Client, refused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("datasync", [0, 1, 0xFFFF_FFFF])
def test_files_and_directories_are_synced(client: Client, datasync: int) -> None:
    for fid in (client.create(b"file", data=b"x"), client.open(flags=DOTL_DIRECTORY)):
        assert client.call(Tfsync(TAG, fid, datasync)) == Rfsync(TAG)


def test_what_is_not_open_cannot_be_synced(client: Client) -> None:
    for fid in (client.walk(), Fid(99)):
        with refused(errno.EBADF):
            client.fsync(fid)


def test_a_sync_that_waits_outlives_its_fid_and_its_session(client: Client, export: Path) -> None:
    fid = client.create(b"file", data=b"x")
    waiting = fsync(client.session, Tfsync(TAG, fid, 0))
    step = resume(waiting, None)
    client.clunk(fid)
    client.mount()
    (export / "file").unlink()
    step()
    with pytest.raises(StopIteration) as end:
        resume(waiting, None)
    assert end.value.value == Rfsync(TAG)


def test_a_sync_that_never_ran_gives_its_descriptor_back(client: Client) -> None:
    fid = client.create(b"file")
    before = len(os.listdir("/proc/self/fd"))
    waiting = fsync(client.session, Tfsync(TAG, fid, 0))
    resume(waiting, None)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    waiting.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_the_disk_says_reaches_the_client(client: Client) -> None:
    fid = client.create(b"file")
    before = len(os.listdir("/proc/self/fd"))
    waiting = fsync(client.session, Tfsync(TAG, fid, 0))
    resume(waiting, None)
    with refused(errno.EIO):
        resume(waiting, OSError(errno.EIO, "as a disk that dies"))
    assert len(os.listdir("/proc/self/fd")) == before
