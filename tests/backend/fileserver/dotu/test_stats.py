"""Tstat: what each kind of file looks like."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.codec import encode
from protocol.ninep.flags import DMDEVICE, DMDIR, DMNAMEDPIPE, DMSYMLINK, QTDIR, QTFILE, QTSYMLINK
from protocol.ninep.ids import NOFID, NONUNAME, NOTAG
from protocol.ninep.messages import Tattach, Tstat, Tversion
from tests.backend.fileserver.client import ROOT, TAG, refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.fileserver.dotu_client import DotuClient


def test_a_regular_file(client: DotuClient, export: Path) -> None:
    (export / "f").write_bytes(b"12345")
    os.link(export / "f", export / "g")
    os.utime(export / "f", ns=(7_900_000_000, 1_700_000_000_999_999_999))
    found = client.stat(client.walk(b"f"))
    status = (export / "f").stat()
    assert found.type == found.dev == 0
    assert (found.qid.type, found.qid.path) == (QTFILE, status.st_ino)
    assert found.mode == stat.S_IMODE(status.st_mode)
    assert (found.atime, found.mtime) == (7, 1_700_000_000)
    assert (found.length, found.name) == (5, b"f")
    assert (found.n_uid, found.n_gid, found.n_muid) == (status.st_uid, status.st_gid, NONUNAME)
    assert (found.uid, found.gid) == (b"%d" % status.st_uid, b"%d" % status.st_gid)
    assert found.muid == b""
    assert found.extension == b"HARDLINKCOUNT 2"


def test_a_directory(client: DotuClient, export: Path) -> None:
    (export / "d").mkdir(mode=0o750)
    found = client.stat(client.walk(b"d"))
    assert (found.mode, found.qid.type, found.length) == (DMDIR | 0o750, QTDIR, 0)
    assert found.extension == b"HARDLINKCOUNT %d" % (export / "d").stat().st_nlink


def test_a_symbolic_link_is_described_itself(client: DotuClient, export: Path) -> None:
    target = b"x" * 4000
    os.symlink(target, os.fsencode(export / "l"))
    fid = client.walk(b"l")
    found = client.stat(fid)
    assert (found.mode & DMSYMLINK, found.qid.type) == (DMSYMLINK, QTSYMLINK)
    assert (found.length, client.readlink(fid)) == (4000, target)


def test_a_fifo(client: DotuClient, export: Path) -> None:
    os.mkfifo(export / "p", 0o640)
    found = client.stat(client.walk(b"p"))
    assert (found.mode, found.extension) == (DMNAMEDPIPE | 0o640, b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
@pytest.mark.parametrize(("kind", "letter"), [(stat.S_IFCHR, b"c"), (stat.S_IFBLK, b"b")])
def test_a_device(client: DotuClient, export: Path, kind: int, letter: bytes) -> None:
    try:
        os.mknod(export / "dev", kind | 0o600, os.makedev(300, 70_000))
    except PermissionError:
        pytest.skip("this sandbox makes no devices")
    found = client.stat(client.walk(b"dev"))
    assert (found.mode, found.extension) == (DMDEVICE | 0o600, letter + b" 300 70000")


def test_the_root_is_called_slash(client: DotuClient, export: Path) -> None:
    (export / "d").mkdir()
    assert client.stat(ROOT).name == b"/"
    assert client.stat(client.walk(b"d", b"..")).name == b"/"
    attached = client.fid()
    client.call(Tattach(TAG, attached, NOFID, b"", b"/d", NONUNAME))
    assert client.stat(attached).name == b"/"


def test_the_name_follows_a_rename(client: DotuClient) -> None:
    fid = client.create(b"f")
    client.rename(client.walk(b"f"), b"g")
    assert client.stat(fid).name == b"g"


@pytest.mark.parametrize(("seconds", "shown"), [(-1, 0), (0, 0), (1 << 33, 0xFFFF_FFFE)])
def test_a_time_that_does_not_fit_is_the_nearest_that_does(
    client: DotuClient, export: Path, seconds: int, shown: int
) -> None:
    (export / "f").touch()
    os.utime(export / "f", (seconds, seconds))
    found = client.stat(client.walk(b"f"))
    assert (found.atime, found.mtime) == (shown, shown)


def test_an_open_file_after_its_removal(client: DotuClient, export: Path) -> None:
    fid = client.create(b"f", data=b"123")
    (export / "f").unlink()
    found = client.stat(fid)
    assert (found.length, found.extension) == (3, b"HARDLINKCOUNT 0")


@pytest.mark.parametrize("msize", [2048, 4096, 8192, 1 << 20])
def test_a_link_too_long_for_a_message(client: DotuClient, export: Path, msize: int) -> None:
    owner = b"%d%d" % (os.geteuid(), export.stat().st_gid)
    longest = min(4095, msize - len(b"l" + owner) - 72)
    client.call(Tversion(NOTAG, msize, client.version))
    client.call(Tattach(TAG, ROOT, NOFID, b"", b"", NONUNAME))
    os.symlink(b"x" * longest, os.fsencode(export / "l"))
    os.symlink(b"x" * min(4095, longest + 1), os.fsencode(export / "m"))
    found = client.call(Tstat(TAG, client.walk(b"l")))
    assert len(encode(found)) <= msize
    assert found.stat.extension == b"x" * longest
    if longest < 4095:
        assert len(encode(found)) == msize
        with refused(errno.ENAMETOOLONG):
            client.stat(client.walk(b"m"))


def test_an_unknown_fid(client: DotuClient) -> None:
    with refused(errno.EBADF):
        client.stat(NOFID)
