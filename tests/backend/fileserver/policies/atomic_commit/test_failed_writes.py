"""``commit=atomic``: what could not be written is missing, so the file does not appear."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.flags import DOTL_RDWR, DOTL_TRUNC
from tests.backend.fileserver.client import Client, refused
from tests.backend.fileserver.policies.atomic_commit.seen import dom0, truncated

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.ninep.ids import Fid
    from tests.backend.fileserver.disk import WatchedDisk


def fail(client: Client, disk: WatchedDisk, fid: Fid, *offsets: int) -> None:
    """Writes for which the disk is full."""
    disk.fail(errno.ENOSPC, "write")
    for offset in offsets:
        with refused(errno.ENOSPC):
            client.write(fid, b"more", offset)
    disk.fail(errno.ENOSPC)


@pytest.mark.parametrize("how", ["Tlopen", "Tlcreate", "Tsetattr"])
def test_who_closes_all_the_same_leaves_what_was_there(
    client: Client, export: Path, disk: WatchedDisk, how: str
) -> None:
    (export / "file").write_bytes(b"old")
    fid = truncated(client, b"file", how)
    client.write(fid, b"half")
    fail(client, disk, fid, 4)
    with refused(errno.EIO):
        client.clunk(fid)
    assert dom0(export) == {"file": b"old"}
    assert disk.synced == []


def test_who_tries_again_at_the_same_place_has_missed_nothing(
    client: Client, export: Path, disk: WatchedDisk
) -> None:
    fid = client.create(b"file", data=b"half")
    fail(client, disk, fid, 4, 4)
    client.write(fid, b" and half", 4)
    client.clunk(fid)
    assert dom0(export) == {"file": b"half and half"}


@pytest.mark.parametrize("offsets", [(4,), (4, 8)])
def test_another_place_does_not_make_good_for_it(
    client: Client, export: Path, disk: WatchedDisk, offsets: tuple[int, ...]
) -> None:
    fid = client.create(b"file", data=b"half")
    fail(client, disk, fid, *offsets)
    client.write(fid, b"end", 8)
    with refused(errno.EIO):
        client.clunk(fid)
    assert dom0(export) == {}
    assert client.names() == set()


@pytest.mark.parametrize("how", ["Tsetattr", "Tlopen"])
def test_who_truncates_it_begins_anew(
    client: Client, export: Path, disk: WatchedDisk, how: str
) -> None:
    fid = client.create(b"file", data=b"half")
    fail(client, disk, fid, 4, 8)
    if how == "Tsetattr":
        client.truncate(fid, 0)
    else:
        client.clunk(client.open(b"file", flags=DOTL_RDWR | DOTL_TRUNC))
    client.write(fid, b"whole")
    client.clunk(fid)
    assert dom0(export) == {"file": b"whole"}


def test_what_another_fid_could_not_write_is_missing_too(
    client: Client, export: Path, disk: WatchedDisk
) -> None:
    fid = client.create(b"file", data=b"half")
    other = client.open(b"file", flags=DOTL_RDWR)
    fail(client, disk, other, 4)
    client.clunk(other)
    client.truncate(fid, 2)
    with refused(errno.EIO):
        client.clunk(fid)
    assert dom0(export) == {}


def test_in_place_nothing_is_promised(client: Client, export: Path, disk: WatchedDisk) -> None:
    (export / "file").write_bytes(b"old")
    fid = client.open(b"file", flags=DOTL_RDWR)
    fail(client, disk, fid, 0)
    client.clunk(fid)
    assert dom0(export) == {"file": b"old"}
