"""Topen and Tcreate: each kind of file, and what becomes of the fid."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.limits import Limits, Slots
from protocol.ninep.flags import (
    DMAPPEND,
    DMDEVICE,
    DMDIR,
    DMLINK,
    DMNAMEDPIPE,
    DMSETGID,
    DMSETUID,
    DMSETVTX,
    DMSOCKET,
    DMSYMLINK,
    OAPPEND,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
    QTSYMLINK,
)
from protocol.ninep.ids import NOFID
from protocol.ninep.messages import Tcreate, Topen
from tests.backend.fileserver.client import ROOT, TAG, refused
from tests.backend.fileserver.dotu_client import DotuClient

if TYPE_CHECKING:
    from pathlib import Path


class TestOpen:
    def test_reads_and_writes(self, client: DotuClient, export: Path) -> None:
        (export / "f").write_bytes(b"content")
        fid = client.open(b"f", mode=ORDWR)
        assert client.read(fid, 100, split=3) == b"content"
        assert client.write(fid, b"CON") == 3
        assert (export / "f").read_bytes() == b"CONtent"
        client.clunk(fid)

    @pytest.mark.parametrize(("mode", "readable"), [(OREAD, True), (OEXEC, True), (OWRITE, False)])
    def test_for_one_thing_only(
        self, client: DotuClient, export: Path, mode: int, readable: bool
    ) -> None:
        (export / "f").write_bytes(b"content")
        fid = client.open(b"f", mode=mode)
        if readable:
            assert client.read(fid, 100) == b"content"
            with refused(errno.EBADF):
                client.write(fid, b"x")
        else:
            assert client.write(fid, b"x") == 1
            with refused(errno.EBADF):
                client.read(fid, 100)
        client.clunk(fid)

    def test_truncates(self, client: DotuClient, export: Path) -> None:
        (export / "f").write_bytes(b"content")
        client.clunk(client.open(b"f", mode=OWRITE | OTRUNC))
        assert (export / "f").read_bytes() == b""

    def test_appends(self, client: DotuClient, export: Path) -> None:
        (export / "f").write_bytes(b"one")
        fid = client.open(b"f", mode=OWRITE | OAPPEND)
        client.write(fid, b" two", offset=0)
        assert (export / "f").read_bytes() == b"one two"
        client.clunk(fid)

    def test_an_open_fid_is_not_opened_again(self, client: DotuClient, export: Path) -> None:
        (export / "f").touch()
        fid = client.open(b"f")
        with refused(errno.EINVAL):
            client.call(Topen(TAG, fid, OREAD))
        client.clunk(fid)

    @pytest.mark.parametrize("mode", [OWRITE, ORDWR, OTRUNC, ORCLOSE])
    def test_a_directory_is_for_reading(self, client: DotuClient, export: Path, mode: int) -> None:
        (export / "d").mkdir()
        with refused(errno.EISDIR):
            client.open(b"d", mode=mode)
        assert (export / "d").is_dir()

    def test_what_is_neither_file_nor_directory_stays_shut(
        self, client: DotuClient, export: Path
    ) -> None:
        (export / "link").symlink_to("/etc/passwd")
        os.mkfifo(export / "fifo")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(export / "socket"))
        with refused(errno.ELOOP):
            client.open(b"link")
        for name in (b"fifo", b"socket"):
            with refused(errno.ENXIO):
                client.open(name)

    def test_an_unknown_fid_or_mode(self, client: DotuClient) -> None:
        with refused(errno.EBADF):
            client.call(Topen(TAG, NOFID, OREAD))
        with refused(errno.EINVAL):
            client.open(mode=0x04)

    def test_the_limits_hold(self, export: Path) -> None:
        (export / "f").touch()
        client = DotuClient(
            str(export), Limits(open_files=Slots("files", 1), cursors=Slots("directories", 1))
        )
        client.mount()
        held = [client.open(b"f"), client.open()]
        with refused(errno.EMFILE):
            client.open(b"f")
        with refused(errno.EMFILE):
            client.open()
        with refused(errno.EMFILE):
            client.mkdir(b"d")
        assert not (export / "d").exists()
        for fid in held:
            client.clunk(fid)
        client.close()


class TestRemoveOnClose:
    def test_the_name_goes_with_the_fid(self, client: DotuClient, export: Path) -> None:
        (export / "f").write_bytes(b"x")
        fid = client.open(b"f", mode=OREAD | ORCLOSE)
        assert (export / "f").exists()
        client.clunk(fid)
        assert not (export / "f").exists()

    def test_of_a_file_just_created(self, client: DotuClient, export: Path) -> None:
        fid = client.create(b"f", 0o600, ORDWR | ORCLOSE, data=b"scratch")
        assert client.read(fid, 100) == b"scratch"
        client.clunk(fid)
        assert os.listdir(export) == []

    def test_follows_a_rename(self, client: DotuClient, export: Path) -> None:
        fid = client.create(b"f", mode=ORDWR | ORCLOSE)
        client.rename(fid, b"g")
        (export / "f").touch()
        client.clunk(fid)
        assert os.listdir(export) == ["f"]

    def test_says_when_the_name_is_gone_and_frees_the_fid(
        self, client: DotuClient, export: Path
    ) -> None:
        fid = client.create(b"f", mode=ORDWR | ORCLOSE)
        (export / "f").unlink()
        with refused(errno.ENOENT):
            client.clunk(fid)
        assert client.in_use() == {ROOT}

    def test_an_error_at_the_open_removes_nothing(self, client: DotuClient, export: Path) -> None:
        os.mkfifo(export / "fifo")
        with refused(errno.ENXIO):
            client.open(b"fifo", mode=ORCLOSE)
        assert (export / "fifo").exists()

    def test_the_end_of_the_session_clunks(self, client: DotuClient, export: Path) -> None:
        client.create(b"f", mode=ORDWR | ORCLOSE)
        client.create(b"gone", mode=ORDWR | ORCLOSE)
        client.create(b"stays")
        (export / "gone").unlink()
        client.mount()
        assert os.listdir(export) == ["stays"]


class TestCreate:
    def test_a_regular_file_and_its_fid_is_open(self, client: DotuClient, export: Path) -> None:
        fid = client.create(b"f", 0o640 | DMSETUID, data=b"content")
        assert client.read(fid, 100) == b"content"
        assert stat.S_IMODE((export / "f").stat().st_mode) == 0o4640
        assert client.stat(fid).name == b"f"
        client.clunk(fid)

    def test_an_open_mode_that_there_is_not(self, client: DotuClient, export: Path) -> None:
        with refused(errno.EINVAL):
            client.create(b"f", mode=0x08)
        assert os.listdir(export) == []

    def test_for_reading_only(self, client: DotuClient) -> None:
        fid = client.create(b"f", mode=OREAD)
        assert client.read(fid, 100) == b""
        with refused(errno.EBADF):
            client.write(fid, b"x")
        client.clunk(fid)

    @pytest.mark.parametrize(
        ("perm", "extension"),
        [
            (0o644, b""),
            (DMDIR | 0o755, b""),
            (DMSYMLINK, b"target"),
            (DMLINK, b"0"),
            (DMNAMEDPIPE | 0o644, b""),
        ],
    )
    def test_a_name_that_exists_is_never_taken(
        self, client: DotuClient, export: Path, perm: int, extension: bytes
    ) -> None:
        (export / "f").write_bytes(b"content")
        with refused(errno.EEXIST):
            client.create(b"f", perm, OREAD, extension)
        assert (export / "f").read_bytes() == b"content"

    def test_a_directory_and_its_fid_is_open(self, client: DotuClient, export: Path) -> None:
        fid = client.create(b"d", DMDIR | DMSETVTX | 0o750, OREAD)
        assert client.entries(fid) == []
        assert stat.S_IMODE((export / "d").stat().st_mode) == 0o1750
        assert client.stat(fid).qid.type == QTDIR
        client.clunk(client.create(b"below", fid=client.walk(b"d")))
        assert [entry.name for entry in client.entries(fid)] == [b"below"]

    def test_a_symbolic_link(self, client: DotuClient, export: Path) -> None:
        fid = client.create(b"l", DMSYMLINK, OREAD, b"../anywhere")
        assert os.readlink(export / "l") == "../anywhere"
        found = client.stat(fid)
        assert (found.qid.type, found.extension) == (QTSYMLINK, b"../anywhere")
        with refused(errno.EBADF):
            client.read(fid, 100)
        client.clunk(fid)

    @pytest.mark.parametrize(
        ("target", "code"),
        [(b"", errno.ENOENT), (b"a\0b", errno.EINVAL), (b"x" * 4096, errno.ENAMETOOLONG)],
    )
    def test_a_link_to_nothing_that_can_be(
        self, client: DotuClient, export: Path, target: bytes, code: int
    ) -> None:
        with refused(code):
            client.symlink(b"l", target)
        assert os.listdir(export) == []

    @pytest.mark.parametrize("end", [b"\n", b""])
    def test_a_second_name(self, client: DotuClient, export: Path, end: bytes) -> None:
        (export / "d").mkdir()
        old = client.create(b"f", data=b"content")
        fid = client.create(b"g", DMLINK, OREAD, b"%d" % old + end, fid=client.walk(b"d"))
        assert (export / "d/g").read_bytes() == b"content"
        assert client.stat(fid).name == b"g"
        assert client.stat(fid).qid == client.stat(old).qid
        assert client.stat(old).extension == b"HARDLINKCOUNT 2"
        client.remove(fid)
        assert os.listdir(export / "d") == []

    @pytest.mark.parametrize(
        ("extension", "code"),
        [
            (b"", errno.EINVAL),
            (b"x", errno.EINVAL),
            (b"-1", errno.EINVAL),
            (b"1\n\n", errno.EINVAL),
            (b"9" * 5000, errno.EINVAL),
            (b"4711", errno.EBADF),
            (b"9999999999", errno.EBADF),
            (b"0", errno.EPERM),  # a directory
        ],
    )
    def test_a_second_name_of_what_has_none(
        self, client: DotuClient, extension: bytes, code: int
    ) -> None:
        with refused(code):
            client.make(b"g", DMLINK, extension)

    @pytest.mark.parametrize("device", [b"c 1 3", b"b 8 0"])
    def test_a_device_is_not_made(self, client: DotuClient, export: Path, device: bytes) -> None:
        with refused(errno.EPERM):
            client.mkdevice(b"dev", device)
        assert os.listdir(export) == []

    @pytest.mark.parametrize(
        "device",
        [b"", b"c", b"c 1", b"c 1 3 5", b"x 1 3", b"c -1 3", b"c 1 3\n", b"c 1 " + b"9" * 99],
    )
    def test_what_is_no_device(self, client: DotuClient, device: bytes) -> None:
        with refused(errno.EINVAL):
            client.mkdevice(b"dev", device)

    @pytest.mark.parametrize(
        ("bit", "is_kind"), [(DMNAMEDPIPE, stat.S_ISFIFO), (DMSOCKET, stat.S_ISSOCK)]
    )
    def test_a_fifo_and_a_socket(
        self, client: DotuClient, export: Path, bit: int, is_kind: type
    ) -> None:
        fid = client.create(b"s", bit | DMSETGID | 0o640, OREAD)
        status = (export / "s").lstat()
        assert is_kind(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o2640
        assert client.stat(fid).mode == bit | DMSETGID | 0o640
        with refused(errno.ENXIO):
            client.call(Topen(TAG, fid, OREAD))
        client.clunk(fid)

    @pytest.mark.parametrize("kind", [DMDIR, DMSYMLINK, DMLINK, DMNAMEDPIPE, DMSOCKET, DMDEVICE])
    @pytest.mark.parametrize("mode", [OWRITE, ORDWR, OTRUNC, ORCLOSE])
    def test_nothing_but_a_regular_file_is_opened_to_be_changed(
        self, client: DotuClient, export: Path, kind: int, mode: int
    ) -> None:
        with refused(errno.EINVAL):
            client.create(b"f", kind | 0o644, mode, b"c 1 3" if kind == DMDEVICE else b"0")
        assert os.listdir(export) == []

    @pytest.mark.parametrize(
        ("name", "perm", "code"),
        [
            (b"", 0o644, errno.ENOENT),
            (b".", 0o644, errno.EINVAL),
            (b"..", DMDIR, errno.EINVAL),
            (b"a/b", 0o644, errno.EINVAL),
            (b"a\0b", DMSYMLINK, errno.EINVAL),
            (b"x" * 256, 0o644, errno.ENAMETOOLONG),
            (b"f", DMDIR | DMSYMLINK, errno.EINVAL),
            (b"f", DMAPPEND | 0o644, errno.EOPNOTSUPP),
        ],
    )
    def test_what_cannot_be_created(
        self, client: DotuClient, export: Path, name: bytes, perm: int, code: int
    ) -> None:
        with refused(code):
            client.create(name, perm, OREAD, b"x")
        assert os.listdir(export) == []

    def test_below_what_is_no_directory(self, client: DotuClient, export: Path) -> None:
        (export / "f").touch()
        for perm in (0o644, DMDIR | 0o755, DMNAMEDPIPE | 0o644):
            with refused(errno.ENOTDIR):
                client.create(b"g", perm, OREAD, fid=client.walk(b"f"))

    def test_an_open_fid_creates_nothing(self, client: DotuClient) -> None:
        fid = client.open()
        with refused(errno.EINVAL):
            client.call(Tcreate(TAG, fid, b"f", 0o644, ORDWR, b""))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    @pytest.mark.parametrize("perm", [0o644, DMDIR | 0o755, DMSYMLINK, DMNAMEDPIPE | 0o644])
    def test_belongs_to_who_attached_and_to_the_directorys_group(
        self, export: Path, perm: int
    ) -> None:
        os.chown(export, -1, 4242)
        client = DotuClient(str(export))
        client.mount(n_uname=1234)
        client.make(b"f", perm, b"target")
        status = (export / "f").lstat()
        assert (status.st_uid, status.st_gid) == (1234, 4242)
        client.close()
