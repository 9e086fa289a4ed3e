"""Treaddir and Tmkdir: whole entries, real types, and a return to any place."""

from __future__ import annotations

import errno
import os
import random
import stat
import time
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.directory import ENTRY_SIZE
from protocol.ninep.flags import (
    AT_REMOVEDIR,
    DOTL_DIRECTORY,
    DT_DIR,
    DT_FIFO,
    DT_LNK,
    DT_REG,
    QTDIR,
    QTFILE,
    QTSYMLINK,
)
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Tmkdir

from .client import BAD_NAMES, TAG, Client, outcome, refused

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.ninep.messages import Dirent

DOTS = {b".", b".."}


def fill(path: Path, count: int) -> set[bytes]:
    names = {b"%d-%s" % (number, b"x" * (number % 200)) for number in range(count)}
    fd = os.open(path, os.O_RDONLY)
    try:
        for name in names:
            os.mknod(name, dir_fd=fd)
    finally:
        os.close(fd)
    return names


def opened(client: Client, *names: bytes) -> Fid:
    return client.open(*names, flags=DOTL_DIRECTORY)


def all_entries(client: Client, fid: Fid, room: int) -> list[Dirent]:
    found: list[Dirent] = []
    while batch := client.readdir(fid, found[-1].offset if found else 0, room):
        found += batch
    return found


def test_entries_have_the_types_and_numbers_of_their_files(client: Client, export: Path) -> None:
    (export / "file").touch()
    (export / "dir").mkdir()
    (export / "link").symlink_to("dir")
    os.mkfifo(export / "fifo")
    found = {entry.name: entry for entry in client.readdir(opened(client))}
    assert set(found) == DOTS | {b"file", b"dir", b"link", b"fifo"}
    for name, kind, qid_type in [
        (b"file", DT_REG, QTFILE),
        (b"dir", DT_DIR, QTDIR),
        (b"link", DT_LNK, QTSYMLINK),
        (b"fifo", DT_FIFO, QTFILE),
        (b".", DT_DIR, QTDIR),
    ]:
        entry = found[name]
        assert (entry.type, entry.qid.type) == (kind, qid_type)
        assert entry.qid.path == (export / name.decode()).lstat().st_ino


def test_above_the_root_there_is_the_root_and_below_the_truth(client: Client, export: Path) -> None:
    (export / "dir").mkdir()
    for names in [(), (b"dir",)]:
        found = {entry.name: entry for entry in client.readdir(opened(client, *names))}
        assert found[b".."].qid.path == export.stat().st_ino
        assert found[b".."].qid.type == QTDIR


@pytest.mark.parametrize("room", [ENTRY_SIZE + 255, 1000, 4096, 1 << 20])
def test_all_entries_come_once_whatever_the_room(client: Client, export: Path, room: int) -> None:
    names = fill(export, 1500)
    found = [entry.name for entry in all_entries(client, opened(client), room)]
    assert len(found) == len(names) + 2
    assert set(found) == names | DOTS


def test_reading_goes_on_after_any_entry_in_any_order(client: Client, export: Path) -> None:
    fill(export, 1200)
    fid = opened(client)
    entries = all_entries(client, fid, 1 << 20)
    places = list(range(len(entries)))
    random.Random(3).shuffle(places)
    for place in places:
        batch = client.readdir(fid, entries[place].offset, 1000)
        assert batch == entries[place + 1 : place + 1 + len(batch)]
        assert batch or place == len(entries) - 1
    fresh = opened(client)  # cookies are the directory's, not the fid's
    assert client.readdir(fresh, entries[700].offset)[0] == entries[701]


def test_the_end_stays_the_end_and_the_start_starts_anew(client: Client, export: Path) -> None:
    fill(export, 3)
    fid = opened(client)
    first = client.readdir(fid)
    assert client.readdir(fid, first[-1].offset) == []
    assert client.readdir(fid, first[-1].offset) == []
    (export / "late").touch()
    assert b"late" in {entry.name for entry in client.readdir(fid)}


def test_what_goes_meanwhile_disturbs_nothing_else(client: Client, export: Path) -> None:
    names = fill(export, 1000)
    fid = opened(client)
    seen: list[bytes] = []
    offset = 0
    while batch := client.readdir(fid, offset, 500):
        offset = batch[-1].offset
        for entry in batch:
            if entry.name not in DOTS:
                seen.append(entry.name)
                client.unlink(entry.name)
    assert sorted(seen) == sorted(names)
    assert list(export.iterdir()) == []


def test_entries_read_before_an_error_are_not_lost(client: Client) -> None:
    client.mkdir(b"dir")
    fid = opened(client, b"dir")
    first = client.readdir(fid, 0, ENTRY_SIZE + 2)
    client.unlink(b"dir", AT_REMOVEDIR)
    second = client.readdir(fid, first[-1].offset)
    assert {entry.name for entry in first + second} == DOTS
    with refused(errno.ENOENT):
        client.readdir(fid, second[-1].offset)


def test_an_entry_that_does_not_fit_is_an_error_and_not_the_end(
    client: Client, export: Path
) -> None:
    (export / ("n" * 255)).touch()
    fid = opened(client)
    everything = client.readdir(fid)
    by_name = {entry.name: place for place, entry in enumerate(everything)}
    place = by_name[b"n" * 255]
    before = everything[place - 1].offset if place else 0
    for room in (0, ENTRY_SIZE, ENTRY_SIZE + 254):
        with refused(errno.EINVAL):
            client.readdir(fid, before, room)
    assert client.readdir(fid, before, ENTRY_SIZE + 255) == [everything[place]]
    assert client.readdir(fid, everything[-1].offset, 0) == []


@pytest.mark.parametrize("offset", [1 << 63, (1 << 64) - 1])
def test_positions_that_no_directory_has(client: Client, offset: int) -> None:
    fid = opened(client)
    with refused(errno.EINVAL):
        client.readdir(fid, offset)
    assert {entry.name for entry in client.readdir(fid)} == DOTS


def test_a_position_nobody_gave_does_no_harm(client: Client, export: Path) -> None:
    names = fill(export, 50)
    fid = opened(client)
    generator = random.Random(5)
    for _ in range(200):
        offset = generator.getrandbits(63)
        _code, batch = outcome(lambda at=offset: client.readdir(fid, at), errno.EINVAL)  # type: ignore[misc]
        assert {entry.name for entry in batch or ()} <= names | DOTS
    assert {entry.name for entry in all_entries(client, fid, 4096)} == names | DOTS


def test_what_cannot_be_listed(client: Client) -> None:
    with refused(errno.ENOTDIR):
        client.readdir(client.create(b"file"))
    for fid in (client.walk(), Fid(99)):
        with refused(errno.EBADF):
            client.readdir(fid)


@pytest.mark.slow
def test_a_hundred_thousand_entries(client: Client, export: Path) -> None:
    names = fill(export, 100_000)
    fid = opened(client)
    began = time.monotonic()
    found = all_entries(client, fid, 512 * 1024 - 24)
    took = time.monotonic() - began
    assert {entry.name for entry in found} == names | DOTS
    assert len(found) == len(names) + 2
    # Time grows with the number of entries, not with its square (some 0.5 s, decoding included).
    assert took < 20
    assert client.local._descriptors.used == 2


def test_mkdir_makes_a_directory_with_its_bits(client: Client, export: Path) -> None:
    for number, mode in enumerate([0o777, 0o700, 0, 0o1777, 0o2755, stat.S_IFDIR | 0o711]):
        name = b"d%d" % number
        qid = client.mkdir(name, mode)
        status = (export / name.decode()).stat()
        assert (qid.type, qid.version, qid.path) == (QTDIR, 0, status.st_ino)
        assert stat.S_IMODE(status.st_mode) == mode & 0o7777
    inner = client.mkdir(b"inner", fid=opened(client, b"d0"))
    assert inner.path == (export / "d0/inner").stat().st_ino


@pytest.mark.parametrize(
    ("name", "code"), [*BAD_NAMES, (b"there", errno.EEXIST), (b"link", errno.EEXIST)]
)
def test_mkdir_refused(client: Client, export: Path, name: bytes, code: int) -> None:
    (export / "there").touch()
    (export / "link").symlink_to("../outside")
    with refused(code):
        client.mkdir(name)
    with refused(errno.ENOTDIR):
        client.mkdir(b"x", fid=client.walk(b"there"))
    with refused(errno.EBADF):
        client.call(Tmkdir(TAG, Fid(99), b"x", 0o755, 0))
    assert {path.name for path in export.iterdir()} == {"there", "link"}
    assert not (export.parent / "outside").exists()
