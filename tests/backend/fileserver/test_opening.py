"""Tlopen and Tlcreate: which files are opened, how, and what stays shut."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import UNOPENED
from protocol.ninep.flags import (
    DOTL_APPEND,
    DOTL_CREATE,
    DOTL_DIRECT,
    DOTL_DIRECTORY,
    DOTL_DSYNC,
    DOTL_EXCL,
    DOTL_FASYNC,
    DOTL_NOACCESS,
    DOTL_NOATIME,
    DOTL_NOCTTY,
    DOTL_NONBLOCK,
    DOTL_RDONLY,
    DOTL_RDWR,
    DOTL_SYNC,
    DOTL_TRUNC,
    DOTL_WRONLY,
    SETATTR_MODE,
)
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Tlcreate, Tlopen

from .client import BAD_NAMES, NO_ID, ROOT, TAG, Client, refused, unprivileged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.fileserver.files import File


def file_of(client: Client, fid: Fid) -> File:
    return client.session.fids[fid].file


def status_flags(client: Client, fid: Fid) -> int:
    return fcntl.fcntl(file_of(client, fid).fileno(), fcntl.F_GETFL)


@pytest.fixture
def data(export: Path) -> Path:
    (export / "data").write_bytes(b"0123456789")
    return export / "data"


@pytest.mark.usefixtures("data")
def test_the_access_mode_is_kept(client: Client) -> None:
    reader = client.open(b"data", flags=DOTL_RDONLY)
    assert client.read(reader, 3) == b"012"
    with refused(errno.EBADF):
        client.write(reader, b"x")
    writer = client.open(b"data", flags=DOTL_WRONLY)
    assert client.write(writer, b"x") == 1
    with refused(errno.EBADF):
        client.read(writer, 1)
    both = client.open(b"data", flags=DOTL_RDWR)
    assert client.write(both, b"y", 1) == 1
    assert client.read(both, 3) == b"xy2"


def test_the_answer_has_the_qid_of_the_moment_and_room_for_data(client: Client, data: Path) -> None:
    fid = client.walk(b"data")
    before = client.getattr(fid).qid
    data.write_bytes(b"longer than before")
    reply = client.call(Tlopen(TAG, fid, DOTL_RDONLY))
    assert reply.iounit == client.session.msize - 24
    assert reply.qid.path == before.path == data.stat().st_ino
    assert reply.qid.version != before.version


def test_truncate_on_open(client: Client, data: Path) -> None:
    client.open(b"data", flags=DOTL_WRONLY | DOTL_TRUNC)
    assert data.read_bytes() == b""


@pytest.mark.usefixtures("data")
def test_flags_that_mean_nothing_here_are_dropped(client: Client) -> None:
    noise = DOTL_DIRECT | DOTL_CREATE | DOTL_EXCL | DOTL_NOCTTY | DOTL_NONBLOCK
    noise |= DOTL_FASYNC | DOTL_NOATIME | 0x8000_0000
    fid = client.open(b"data", flags=DOTL_RDWR | noise)
    dropped = os.O_DIRECT | os.O_NONBLOCK | os.O_NOATIME | os.O_ASYNC
    assert status_flags(client, fid) & dropped == 0
    assert client.read(fid, 3, offset=1) == b"123"


@pytest.mark.usefixtures("data")
def test_sync_and_append_reach_the_host(client: Client) -> None:
    for dotl, host in [
        (DOTL_SYNC, os.O_SYNC),
        (DOTL_SYNC | DOTL_DSYNC, os.O_SYNC),
        (DOTL_DSYNC, os.O_DSYNC),
        (DOTL_APPEND, os.O_APPEND),
    ]:
        fid = client.open(b"data", flags=DOTL_RDWR | dotl)
        flags = status_flags(client, fid)
        assert flags & (os.O_SYNC | os.O_APPEND) == host
        assert os.get_inheritable(file_of(client, fid).fileno()) is False


@pytest.mark.usefixtures("data")
def test_an_access_mode_that_is_none_is_refused(client: Client) -> None:
    with refused(errno.EINVAL):
        client.open(b"data", flags=DOTL_NOACCESS)
    with refused(errno.EINVAL):
        client.create(b"new", flags=DOTL_NOACCESS)


def test_what_is_not_open_says_so() -> None:
    for attempt in (
        lambda: UNOPENED.read([], 0),
        lambda: UNOPENED.write([], 0),
        lambda: UNOPENED.entries(0),
        UNOPENED.fileno,
        UNOPENED.pin,
    ):
        with refused(errno.EBADF):
            attempt()
    UNOPENED.close()


@pytest.mark.usefixtures("data")
def test_a_fid_is_opened_once(client: Client) -> None:
    fid = client.open(b"data")
    with refused(errno.EINVAL):
        client.call(Tlopen(TAG, fid, DOTL_RDONLY))
    with refused(errno.EINVAL):
        client.call(Tlcreate(TAG, fid, b"x", DOTL_RDWR, 0o644, NO_ID))
    with refused(errno.EBADF):
        client.call(Tlopen(TAG, Fid(99), DOTL_RDONLY))
    assert client.read(fid, 2) == b"01"


def test_directories_are_opened_to_read_only(client: Client, data: Path) -> None:
    fid = client.open(flags=DOTL_DIRECTORY)
    assert [entry.name for entry in client.entries(fid)] == [b"data"]
    with refused(errno.EISDIR):
        client.read(fid, 1)
    with refused(errno.EBADF):
        client.write(fid, b"x")
    for flags in (DOTL_WRONLY, DOTL_RDWR, DOTL_TRUNC):
        with refused(errno.EISDIR):
            client.open(flags=flags)
    with refused(errno.ENOTDIR):
        client.open(b"data", flags=DOTL_DIRECTORY)
    assert data.read_bytes() == b"0123456789"


def test_nothing_but_files_and_directories_is_opened(client: Client, export: Path) -> None:
    os.mkfifo(export / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(export / "socket"))
    (export / "link").symlink_to("/dev/null")
    (export / "dangling").symlink_to("nowhere")
    special = {b"fifo": errno.ENXIO, b"socket": errno.ENXIO, b"link": errno.ELOOP}
    special[b"dangling"] = errno.ELOOP
    if os.geteuid() == 0:
        os.mknod(export / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        special[b"null"] = errno.ENXIO
    for name, code in special.items():
        for flags in (DOTL_RDONLY, DOTL_WRONLY, DOTL_RDWR, DOTL_RDWR | DOTL_TRUNC):
            with refused(code):
                client.open(name, flags=flags)
            with refused(code):  # as when open(2) finds the name when it would create
                client.create(name, flags=flags)
        with refused(errno.EEXIST):
            client.create(name, flags=DOTL_RDWR | DOTL_EXCL)
    assert not (export / "nowhere").exists()


def test_create_makes_the_fid_the_new_open_file(client: Client, export: Path) -> None:
    (export / "dir").mkdir()
    fid = client.walk(b"dir")
    reply = client.call(Tlcreate(TAG, fid, b"new", DOTL_RDWR, 0o640, NO_ID))
    status = (export / "dir/new").stat()
    assert (reply.qid.path, reply.iounit) == (status.st_ino, client.session.msize - 24)
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert client.write(fid, b"data") == 4
    assert client.read(fid, 10) == b"data"
    with refused(errno.ENOTDIR):
        client.walk(b"x", fid=fid)


@contextmanager
def unprivileged_owner(directory: Path) -> Iterator[None]:
    """As ``unprivileged``, with a directory that belongs to that user."""
    if os.geteuid() == 0:
        os.chown(directory, 65534, 65534)
    with unprivileged():
        yield


def test_create_write_only_and_without_any_permission(client: Client, export: Path) -> None:
    with unprivileged_owner(export):
        fid = client.create(b"new", flags=DOTL_WRONLY, mode=0, data=b"data")
        with refused(errno.EBADF):
            client.read(fid, 1)
        with refused(errno.EACCES):
            client.open(b"new")
        client.setattr(fid, SETATTR_MODE, mode=0o400)
        assert client.read(client.open(b"new"), 9) == b"data"
        with refused(errno.EACCES):
            client.open(b"new", flags=DOTL_WRONLY)


def test_what_the_process_may_not_the_guest_may_not(client: Client, export: Path) -> None:
    (export / "closed").mkdir()
    (export / "closed/file").touch(mode=0)
    (export / "closed").chmod(0o555)
    (export / "locked").mkdir(mode=0)
    try:
        with unprivileged():
            with refused(errno.EACCES):
                client.open(b"closed", b"file")
            with refused(errno.EACCES):
                client.create(b"new", fid=client.walk(b"closed"))
            with refused(errno.EACCES):
                client.mkdir(b"new", fid=client.walk(b"closed"))
            with refused(errno.EACCES):
                client.unlink(b"file", fid=client.walk(b"closed"))
            with refused(errno.EACCES):
                client.open(b"locked", flags=DOTL_DIRECTORY)
            with refused(errno.EACCES):
                client.walk(b"locked", b"any")
    finally:
        for name in ("closed", "locked"):
            (export / name).chmod(0o700)


def test_what_belongs_to_somebody_else_keeps_its_mode() -> None:
    host = Client("/etc")
    host.mount()
    with unprivileged():
        fid = host.walk(b"passwd")
        with refused(errno.EPERM):
            host.setattr(fid, SETATTR_MODE, mode=host.getattr(fid).mode)
    host.close()


def test_create_opens_what_exists_unless_exclusive(client: Client, data: Path) -> None:
    assert client.read(client.create(b"data"), 20) == b"0123456789"
    with refused(errno.EEXIST):
        client.create(b"data", flags=DOTL_RDWR | DOTL_EXCL)
    client.create(b"data", flags=DOTL_WRONLY | DOTL_TRUNC, mode=0o600)
    assert data.read_bytes() == b""
    assert client.read(client.create(b"fresh", flags=DOTL_RDWR | DOTL_EXCL), 1) == b""


def test_create_in_or_over_what_is_no_file(client: Client, data: Path) -> None:
    (data.parent / "dir").mkdir()
    with refused(errno.EISDIR):
        client.create(b"dir", flags=DOTL_RDONLY)
    with refused(errno.ENOTDIR):
        client.create(b"new", fid=client.walk(b"data"))
    with refused(errno.EBADF):
        client.call(Tlcreate(TAG, Fid(99), b"x", DOTL_RDWR, 0o644, NO_ID))
    gone = client.walk(b"dir")
    (data.parent / "dir").rmdir()
    with refused(errno.ENOENT):
        client.create(b"new", fid=gone)


@pytest.mark.parametrize(("name", "code"), BAD_NAMES)
def test_create_refuses_bad_names(client: Client, export: Path, name: bytes, code: int) -> None:
    with refused(code):
        client.create(name)
    assert list(export.iterdir()) == []
    assert client.in_use() == {ROOT}


def test_create_keeps_every_permission_bit_and_no_kind(client: Client, export: Path) -> None:
    for number, mode in enumerate([0o777, 0o000, 0o4755, 0o2755, 0o1777, stat.S_IFREG | 0o604]):
        client.clunk(client.create(b"f%d" % number, mode=mode))
        found = (export / f"f{number}").stat()
        assert stat.S_ISREG(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == mode & 0o7777


def test_open_files_are_bounded_and_the_bound_gives_way(client: Client, data: Path) -> None:
    slots = client.limits.open_files
    slots.used = slots.capacity - 1
    fid = client.open(b"data")
    with refused(errno.EMFILE):
        client.open(b"data")
    with refused(errno.EMFILE):
        client.create(b"new")
    assert not (data.parent / "new").exists()
    client.open(flags=DOTL_DIRECTORY)  # directories have their own bound
    client.clunk(fid)
    client.open(b"data")
    slots.used = 1


def test_open_directories_are_bounded(client: Client) -> None:
    slots = client.limits.cursors
    slots.used = slots.capacity - 1
    fid = client.open(flags=DOTL_DIRECTORY)
    with refused(errno.EMFILE):
        client.open(flags=DOTL_DIRECTORY)
    client.clunk(fid)
    client.open(flags=DOTL_DIRECTORY)
    slots.used = 1
