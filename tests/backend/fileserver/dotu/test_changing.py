"""Twstat: one message, many changes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.deferred import resume
from backend.fileserver.handlers import HANDLERS
from protocol.ninep.flags import DMAPPEND, DMDIR, DMNAMEDPIPE, DMSETUID, DMSETVTX, ORDWR, OREAD
from protocol.ninep.ids import NOFID
from protocol.ninep.messages import Rwstat, Twstat
from tests.backend.fileserver.client import ROOT, TAG, refused
from tests.backend.fileserver.dotu_client import UNTOUCHED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.fileserver.dotu_client import DotuClient

ROOTS = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def test_the_mode(client: DotuClient, export: Path) -> None:
    fid = client.create(b"f")
    client.wstat(fid, mode=DMSETUID | 0o751)
    assert stat.S_IMODE((export / "f").stat().st_mode) == 0o4751


def test_the_mode_of_a_directory(client: DotuClient, export: Path) -> None:
    client.mkdir(b"d")
    client.wstat(client.walk(b"d"), mode=DMDIR | DMSETVTX | 0o777)
    assert stat.S_IMODE((export / "d").stat().st_mode) == 0o1777


@pytest.mark.parametrize("bit", [0, DMNAMEDPIPE])
def test_the_mode_of_a_fifo_whether_it_is_called_one_or_not(
    client: DotuClient, export: Path, bit: int
) -> None:
    """A Linux that mounted with nodevmap leaves the bit out."""
    client.mkfifo(b"p")
    client.wstat(client.walk(b"p"), mode=bit | 0o600)
    assert stat.S_IMODE((export / "p").stat().st_mode) == 0o600


def test_a_mode_does_not_change_the_kind(client: DotuClient) -> None:
    client.mkdir(b"d")
    with refused(errno.EINVAL):
        client.wstat(client.walk(b"d"), mode=0o755)
    with refused(errno.EINVAL):
        client.wstat(client.create(b"f"), mode=DMDIR | 0o755)


def test_a_mode_that_nobody_keeps(client: DotuClient, export: Path) -> None:
    fid = client.create(b"f", data=b"123")
    with refused(errno.EOPNOTSUPP):
        client.wstat(fid, mode=DMAPPEND | 0o600, length=0)
    assert (export / "f").read_bytes() == b"123"


@pytest.mark.parametrize("opened", [False, True])
def test_the_length(client: DotuClient, export: Path, opened: bool) -> None:
    fid = client.create(b"f", data=b"12345")
    client.truncate(fid if opened else client.walk(b"f"), 3)
    assert (export / "f").read_bytes() == b"123"
    client.truncate(fid, 1 << 32)
    assert (export / "f").stat().st_size == 1 << 32


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 2])
def test_a_length_beyond_any_file(client: DotuClient, length: int) -> None:
    with refused(errno.EFBIG):
        client.truncate(client.create(b"f"), length)


def test_a_directory_has_no_length(client: DotuClient) -> None:
    with refused(errno.EISDIR):
        client.truncate(ROOT, 0)


def test_times_in_seconds_one_or_both(client: DotuClient, export: Path) -> None:
    fid = client.create(b"f")
    os.utime(export / "f", ns=(5, 6))
    client.wstat(fid, mtime=1_700_000_000)
    status = (export / "f").stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == (5, 1_700_000_000 * 10**9)
    client.wstat(fid, atime=0xFFFF_FFFE)
    status = (export / "f").stat()
    assert (status.st_atime_ns // 10**9, status.st_mtime) == (0xFFFF_FFFE, 1_700_000_000)


def test_times_of_a_link_itself(client: DotuClient, export: Path) -> None:
    (export / "f").touch()
    client.symlink(b"l", b"f")
    client.wstat(client.walk(b"l"), atime=1, mtime=2)
    status = (export / "l").lstat()
    assert (status.st_atime, status.st_mtime) == (1, 2)
    assert (export / "f").stat().st_mtime > 2


@ROOTS
@pytest.mark.parametrize(
    ("fields", "owner"),
    [
        ({"n_uid": 1001}, (1001, 7)),
        ({"n_gid": 1002}, (6, 1002)),
        ({"n_uid": 0, "n_gid": 0}, (0, 0)),
        ({"uid": b"1001", "gid": b"1002"}, (1001, 1002)),
        ({"uid": b"1001", "n_uid": 5}, (5, 7)),
        ({"uid": b"root", "n_uid": 5}, (5, 7)),
        ({"muid": b"nobody", "n_muid": 3, "length": 0}, (6, 7)),
    ],
)
def test_the_owner(
    client: DotuClient, export: Path, fields: dict[str, int | bytes], owner: tuple[int, int]
) -> None:
    fid = client.create(b"f")
    os.chown(export / "f", 6, 7)
    client.wstat(fid, **fields)
    status = (export / "f").stat()
    assert (status.st_uid, status.st_gid) == owner


@pytest.mark.parametrize("text", [b"root", b"-1", b"4294967295", b"9" * 5000, b"\xff"])
@pytest.mark.parametrize("field", ["uid", "gid"])
def test_a_name_is_no_owner(client: DotuClient, field: str, text: bytes) -> None:
    with refused(errno.EINVAL):
        client.wstat(client.create(b"f"), **{field: text})


def test_what_was_read_may_be_written_back(client: DotuClient, export: Path) -> None:
    """All fields filled in, as a client does that changes a copy of what Tstat gave."""
    client.mkdir(b"d")
    client.symlink(b"l", b"f")
    client.clunk(client.create(b"f", data=b"123"))
    os.utime(export / "f", (3, 4))
    file, directory = client.walk(b"f"), client.walk(b"d")
    before = client.stat(file)
    client.call(Twstat(TAG, file, before))
    assert client.stat(file) == before
    before = client.stat(directory)
    client.call(Twstat(TAG, directory, before._replace(length=UNTOUCHED.length)))
    assert client.stat(directory) == before
    assert sorted(os.listdir(export)) == ["d", "f", "l"]


def test_the_roots_name_written_back(client: DotuClient) -> None:
    client.wstat(ROOT, name=b"/", mtime=3)
    assert client.stat(ROOT).mtime == 3


class TestName:
    def test_within_the_directory(self, client: DotuClient, export: Path) -> None:
        client.mkdir(b"d")
        fid = client.create(b"f", data=b"123", fid=client.walk(b"d"))
        client.wstat(fid, name=b"g", muid=b"nobody")  # as Linux sends it
        assert os.listdir(export / "d") == ["g"]
        assert client.stat(fid).name == b"g"
        client.rename(fid, b"h")
        assert client.read(fid, 10) == b"123"
        assert os.listdir(export / "d") == ["h"]

    def test_over_another_file(self, client: DotuClient, export: Path) -> None:
        (export / "g").write_bytes(b"old")
        client.rename(client.create(b"f", data=b"new"), b"g")
        assert (export / "g").read_bytes() == b"new"
        assert os.listdir(export) == ["g"]

    def test_of_a_directory(self, client: DotuClient, export: Path) -> None:
        client.mkdir(b"d")
        inside = client.create(b"f", fid=client.walk(b"d"))
        client.rename(client.walk(b"d"), b"e")
        client.rename(inside, b"g")
        assert os.listdir(export / "e") == ["g"]

    def test_over_a_directory_that_is_not_empty(self, client: DotuClient, export: Path) -> None:
        client.mkdir(b"d")
        (export / "e").mkdir()
        (export / "e/f").touch()
        with refused(errno.ENOTEMPTY):
            client.rename(client.walk(b"d"), b"e")
        assert sorted(os.listdir(export)) == ["d", "e"]

    @pytest.mark.parametrize("name", [b"a/b", b"../f", b".", b"..", b"a\0b"])
    def test_that_is_no_name_changes_nothing(
        self, client: DotuClient, export: Path, name: bytes
    ) -> None:
        fid = client.create(b"f", data=b"123")
        with refused(errno.EINVAL):
            client.wstat(fid, name=name, length=0)
        assert (export / "f").read_bytes() == b"123"

    def test_of_what_has_no_name_any_more_changes_nothing(
        self, client: DotuClient, export: Path
    ) -> None:
        fid = client.create(b"f", data=b"123")
        client.remove(client.walk(b"f"))
        with refused(errno.ENOENT):
            client.wstat(fid, name=b"g", length=0)
        assert client.read(fid, 10) == b"123"
        assert os.listdir(export) == []

    def test_of_another_file_by_now(self, client: DotuClient, export: Path) -> None:
        fid = client.create(b"f")
        (export / "f").rename(export / "elsewhere")
        (export / "f").write_bytes(b"another")
        with refused(errno.ESTALE):
            client.rename(fid, b"g")
        assert (export / "f").read_bytes() == b"another"

    def test_the_root_keeps_its_own(self, client: DotuClient) -> None:
        with refused(errno.EBUSY):
            client.rename(ROOT, b"g")

    def test_together_with_other_changes(self, client: DotuClient, export: Path) -> None:
        fid = client.create(b"f", data=b"12345")
        client.wstat(fid, name=b"g", length=2, mode=0o600, mtime=9)
        status = (export / "g").stat()
        assert (status.st_size, stat.S_IMODE(status.st_mode), status.st_mtime) == (2, 0o600, 9)

    def test_as_it_was(self, client: DotuClient, export: Path) -> None:
        client.wstat(client.create(b"f"), name=b"f")
        assert os.listdir(export) == ["f"]


class TestSync:
    def test_nothing_at_all_means_fsync(self, client: DotuClient) -> None:
        fid = client.create(b"f", data=b"123")
        syncing = HANDLERS[Twstat](client.session, Twstat(TAG, fid, UNTOUCHED))
        assert isinstance(syncing, Generator)
        step = resume(syncing, None)
        client.clunk(fid)  # the file is pinned
        step()
        with pytest.raises(StopIteration) as end:
            resume(syncing, None)
        assert end.value.value == Rwstat(TAG)

    @pytest.mark.parametrize("mode", [OREAD, ORDWR])
    def test_of_a_file_however_it_is_open(self, client: DotuClient, mode: int) -> None:
        client.fsync(client.create(b"f", mode=mode))

    def test_of_a_directory(self, client: DotuClient) -> None:
        client.fsync(client.open())

    def test_of_what_is_not_open_is_done_already(self, client: DotuClient) -> None:
        client.mkfifo(b"p")
        client.symlink(b"l", b"nowhere")
        for name in (b"p", b"l"):
            client.fsync(client.walk(name))

    def test_who_changed_it_last_is_not_looked_at(self, client: DotuClient) -> None:
        client.wstat(client.create(b"f"), muid=b"nobody", n_muid=4, type=1, dev=2)


def test_an_unknown_fid(client: DotuClient) -> None:
    with refused(errno.EBADF):
        client.wstat(NOFID, length=0)
