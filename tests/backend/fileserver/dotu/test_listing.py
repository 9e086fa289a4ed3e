"""A directory that is read: whole stats, and offsets to come back to."""

from __future__ import annotations

import errno
import os
import random
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.dotu.listing import StatDirectory
from backend.fileserver.policies.forwarding import ForwardingTree
from protocol.ninep.directory import decode_stats, encode_stat
from protocol.ninep.flags import DMDIR, DMSYMLINK
from tests.backend.fileserver.client import ROOT, refused, unprivileged
from tests.backend.fileserver.dotu_client import DotuClient

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from backend.fileserver.files import Node
    from backend.fileserver.tree import Tree
    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Stat


def fill(export: Path, count: int) -> set[bytes]:
    """``count`` files whose names, and so entries, differ in length."""
    names = {b"f%d" % number + b"x" * (number % 50) for number in range(count)}
    for name in names:
        (export / os.fsdecode(name)).touch()
    return names


def positions(client: DotuClient, fid: Fid, room: int = 1 << 16) -> list[tuple[int, Stat]]:
    """Each entry, and the offset at which it begins."""
    at, found = 0, []
    for entry in client.entries(fid, room):
        found.append((at, entry))
        at += len(encode_stat(entry))
    return found


def names_of(entries: Iterable[Stat]) -> list[bytes]:
    return [entry.name for entry in entries]


def test_an_entry_is_what_tstat_says(client: DotuClient, export: Path) -> None:
    (export / "d").mkdir()
    (export / "f").write_bytes(b"123")
    (export / "l").symlink_to("f")
    os.mkfifo(export / "p")
    entries = {entry.name: entry for entry in client.entries(client.open())}
    assert set(entries) == {b"d", b"f", b"l", b"p"}
    for name, entry in entries.items():
        assert entry == client.stat(client.walk(name))
    assert entries[b"d"].mode & DMDIR
    assert entries[b"l"].mode & DMSYMLINK
    assert entries[b"l"].extension == b"f"


def test_an_empty_directory(client: DotuClient) -> None:
    fid = client.open()
    assert client.read(fid, 1000) == b""
    assert client.read(fid, 1000) == b""


@pytest.mark.parametrize("room", [330, 400, 1000, 4096, 1 << 20])
def test_replies_hold_whole_entries_whatever_their_size(
    client: DotuClient, export: Path, room: int
) -> None:
    names = fill(export, 300)
    assert set(names_of(client.entries(client.open(), room))) == names


def test_the_rings_end_may_cut_an_entry(client: DotuClient, export: Path) -> None:
    names = fill(export, 20)
    whole = client.read(client.open(), 4000)
    for split in (1, 63, 64, len(whole), 3999):
        assert client.read(client.open(), 4000, split=split) == whole
    assert set(names_of(decode_stats(whole))) == names


def test_a_rest_of_a_buffer_too_small_for_an_entry_is_left_empty(
    client: DotuClient, export: Path
) -> None:
    """Linux asks on until its buffer is full."""
    names = fill(export, 30)
    fid, found, offset, left = client.open(), b"", 0, 1000
    rounds = []
    while offset or not found:
        data = client.read(fid, left, offset)
        rounds.append(len(data))
        found += data
        offset, left = offset + len(data), left - len(data)
        if not data:
            if left == 1000:
                break
            left = 1000
    assert set(names_of(decode_stats(found))) == names
    assert rounds.count(0) > 1


def test_a_buffer_too_small_for_the_first_entry_is_an_error(
    client: DotuClient, export: Path
) -> None:
    fill(export, 1)
    with refused(errno.EINVAL):
        client.read(client.open(), 40)


def test_back_to_the_start_shows_what_is_new(client: DotuClient, export: Path) -> None:
    (export / "a").touch()
    fid = client.open()
    assert names_of(client.entries(fid)) == [b"a"]
    (export / "b").touch()
    assert set(names_of(client.entries(fid))) == {b"a", b"b"}


@pytest.mark.parametrize("room", [400, 5000, 1 << 20])
def test_every_boundary_can_be_returned_to(client: DotuClient, export: Path, room: int) -> None:
    fill(export, 500)
    fid = client.open()
    places = positions(client, fid, room)
    dice = random.Random(9)
    for index in dice.sample(range(500), 30):
        offset, entry = places[index]
        again = decode_stats(client.read(fid, room, offset))
        assert again[0] == entry
        following = [entry for _offset, entry in places[index : index + len(again)]]
        assert again == following


def test_a_boundary_of_old_in_a_large_directory(client: DotuClient, export: Path) -> None:
    fill(export, 6000)  # more than there are marks
    fid = client.open()
    places = positions(client, fid)
    for index in (1, 2, 3, 4, 777, 1001, 5998):
        offset, entry = places[index]
        assert decode_stats(client.read(fid, 1000, offset))[0] == entry
    with refused(errno.EINVAL):
        client.read(fid, 1000, places[777][0] + 1)


def test_what_is_no_boundary(client: DotuClient, export: Path) -> None:
    fill(export, 10)
    fid = client.open()
    with refused(errno.EINVAL):
        client.read(fid, 1000, 70)  # nothing has been read yet
    places = positions(client, fid)
    end = places[-1][0] + len(encode_stat(places[-1][1]))
    for offset in (1, places[3][0] + 1, places[3][0] - 1, end + 1, 1 << 63, (1 << 64) - 1):
        with refused(errno.EINVAL):
            client.read(fid, 1000, offset)
    assert client.read(fid, 1000, end) == b""
    assert decode_stats(client.read(fid, 1000, places[5][0]))[0] == places[5][1]


def test_no_boundary_of_what_is_gone(client: DotuClient, export: Path) -> None:
    names = fill(export, 10)
    fid = client.open()
    offset, _entry = positions(client, fid)[3]
    for name in names:
        (export / os.fsdecode(name)).unlink()
    with refused(errno.EINVAL):
        client.read(fid, 1000, offset + 1)
    assert client.entries(fid) == []


def test_entries_that_vanish_before_they_are_looked_at(client: DotuClient, export: Path) -> None:
    names = fill(export, 100)
    fid = client.open()
    first = decode_stats(client.read(fid, 1000))  # has read ahead
    rest = sorted(names - set(names_of(first)))
    for name in rest[::2]:
        (export / os.fsdecode(name)).unlink()
    offset = sum(len(encode_stat(entry)) for entry in first)
    found = names_of(client.entries(fid, 1000, offset))
    assert sorted(found) == rest[1::2]


def test_removing_while_reading_misses_nothing(client: DotuClient, export: Path) -> None:
    """As ``rm -r`` does: read some, remove them, read on where it was."""
    names = fill(export, 1000)
    fid, offset, seen = client.open(), 0, set()
    while data := client.read(fid, 2000, offset):
        for entry in decode_stats(data):
            seen.add(entry.name)
            client.remove(client.walk(entry.name))
        offset += len(data)
    assert seen == names
    assert os.listdir(export) == []


def test_a_directory_read_again_after_a_change(client: DotuClient, export: Path) -> None:
    """Boundaries of the second reading count, also where the first had one of the same offset."""
    for number in range(100):
        (export / f"f{number:03}").touch()
    fid = client.open()
    before = positions(client, fid)
    (export / os.fsdecode(before[10][1].name)).unlink()
    after = positions(client, fid)
    assert [place for place, _entry in after] == [place for place, _entry in before[:-1]]
    for offset, entry in after:
        assert decode_stats(client.read(fid, 1000, offset))[0] == entry


def test_a_link_too_long_for_a_reply_hides_nothing(client: DotuClient, export: Path) -> None:
    os.symlink(b"x" * 4000, os.fsencode(export / "l"))
    (export / "f").touch()
    inner = client.local.open(client.local.root, os.O_RDONLY)
    directory = StatDirectory(inner, client.local, client.local.root, 2048 - 24)
    buffer = memoryview(bytearray(2048 - 24))
    found = decode_stats(bytes(buffer[: directory.read([buffer], 0)]))
    directory.close()
    assert {entry.name: len(entry.extension) for entry in found} == {b"f": 15, b"l": 0}


class BadSector(ForwardingTree):
    """The ``bad``th entry that is looked at cannot be read."""

    bad = 0

    def lookup(self, parent: Node, name: bytes) -> Node:
        self.bad -= 1
        if not self.bad:
            raise OSError(errno.EIO, "as a disk would")
        return super().lookup(parent, name)


def test_an_error_after_progress_comes_with_the_next_read(export: Path) -> None:
    names = fill(export, 3)
    trees: list[BadSector] = []

    def wrap(tree: Tree) -> Tree:
        trees.append(BadSector(tree))
        return trees[0]

    client = DotuClient(str(export), wrap=wrap)
    client.mount()
    fid = client.open()
    trees[0].bad = 2
    first = client.read(fid, 4000)
    assert len(decode_stats(first)) == 1
    trees[0].bad = 1
    with refused(errno.EIO):
        client.read(fid, 4000, len(first))
    rest = client.read(fid, 4000, len(first))
    assert set(names_of(decode_stats(first + rest))) == names
    client.close()


def test_other_errors_come_when_nothing_was_read(client: DotuClient, export: Path) -> None:
    """A directory that may be listed but not searched."""
    (export / "d").mkdir(mode=0o777)
    (export / "d/f").touch()
    with unprivileged():
        fid = client.open(b"d")
    os.chmod(export / "d", 0o444)
    with unprivileged(), refused(errno.EACCES):
        client.read(fid, 1000)
    os.chmod(export / "d", 0o700)
    assert names_of(client.entries(fid)) == [b"f"]


def test_a_directory_is_not_written(client: DotuClient) -> None:
    with refused(errno.EBADF):
        client.write(client.open(), b"x")


def test_a_directory_that_was_not_opened_is_not_read(client: DotuClient) -> None:
    with refused(errno.EBADF):
        client.read(ROOT, 1000)
