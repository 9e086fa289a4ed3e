"""``commit=atomic``: names that are removed, renamed, taken or hidden while files are written."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import NOBODY, Device
from backend.fileserver.unnamed import HIDDEN_PREFIX
from protocol.ninep.flags import AT_REMOVEDIR, DOTL_RDWR, DOTL_TRUNC, DOTL_WRONLY
from tests.backend.fileserver.client import Client, refused
from tests.backend.fileserver.policies.atomic_commit.seen import content, dom0

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_removed_while_it_is_written_does_not_appear(client: Client, export: Path) -> None:
    (export / "old").write_bytes(b"old")
    for name in (b"old", b"new"):
        fid = client.create(name, DOTL_RDWR | DOTL_TRUNC, data=b"data")
        with refused(errno.ENOTDIR):
            client.unlink(name, AT_REMOVEDIR)
        client.unlink(name)
        assert dom0(export) == {}
        assert client.names() == set()
        with refused(errno.ENOENT):
            client.walk(name)
        assert client.read(fid, 9) == b"data"
        again = client.create(name, data=b"again")
        client.clunk(fid)
        client.clunk(again)
        client.unlink(name)
    client.remove(client.create(b"third", data=b"x"))
    assert dom0(export) == {}


def test_a_rename_of_what_is_written(client: Client, export: Path) -> None:
    client.mkdir(b"dir")
    directory = client.walk(b"dir")
    (export / "old").write_bytes(b"old")
    (export / "dir" / "there").write_bytes(b"there")
    fid = client.create(b"new", data=b"new")
    client.rename(b"new", b"new")
    client.rename(b"new", b"there", to=directory)
    assert client.names() == {b"dir", b"old"}
    assert (dom0(export / "dir"), content(client, b"dir", b"there")) == (
        {"there": b"there"},
        b"new",
    )
    client.clunk(fid)
    assert dom0(export / "dir") == {"there": b"new"}
    fid = client.open(b"old", flags=DOTL_WRONLY | DOTL_TRUNC)
    client.write(fid, b"newer")
    client.rename(b"old", b"moved")
    assert dom0(export) == {"moved": b"old"}
    client.clunk(fid)
    assert dom0(export) == {"moved": b"newer"}


def test_a_rename_over_what_is_written(client: Client, export: Path) -> None:
    (export / "source").write_bytes(b"source")
    target = client.create(b"target", data=b"lost")
    with refused(errno.ENOTDIR):
        client.mkdir(b"dir")
        client.rename(b"dir", b"target")
    client.rename(b"source", b"target")
    assert dom0(export) == {"target": b"source"}
    source = client.create(b"source", data=b"better")
    other = client.open(b"target", flags=DOTL_WRONLY | DOTL_TRUNC)
    client.rename(b"source", b"target")
    for fid in (target, other, source):
        client.clunk(fid)
    assert dom0(export) == {"target": b"better"}


def test_where_a_rename_cannot_lead(client: Client, export: Path) -> None:
    for name in ("a", "b"):
        (export / name).mkdir()
    fid = client.create(b"file")
    with refused(errno.EISDIR):
        client.rename(b"file", b"a")
    with refused(errno.ENOTDIR):
        client.rename(b"file", b"x", to=fid)
    client.create(b"inside", fid=client.walk(b"b"))
    with refused(errno.ENOTEMPTY):
        client.rename(b"a", b"b")
    client.rename(b"b", b"b")
    with refused(errno.ENOENT):
        client.rename(b"missing", b"b")
    client.clunk(client.create(b"plain"))
    with refused(errno.EISDIR):
        client.rename(b"plain", b"b")
    with refused(errno.ENOTEMPTY):
        client.unlink(b"b", AT_REMOVEDIR)
    client.unlink(b"a", AT_REMOVEDIR)
    with refused(errno.ENOENT):
        client.unlink(b"a", AT_REMOVEDIR)


def test_the_name_of_what_is_written_is_taken(client: Client) -> None:
    tree, root = client.session.tree, client.session.tree.root
    fid = client.create(b"file")
    node = tree.lookup(root, b"file")
    for make in (
        partial(tree.mkdir, root, b"file", 0o755, NOBODY),
        partial(tree.symlink, root, b"file", b"x", NOBODY),
        partial(tree.mknod, root, b"file", stat.S_IFIFO, Device(0, 0), NOBODY),
        partial(tree.link, node, root, b"file"),
    ):
        with refused(errno.EEXIST):
            make()
    with refused(errno.EBUSY):
        tree.link(node, root, b"second")
    client.clunk(fid)
    tree.link(node, root, b"second")
    node.release()


def test_hidden_names_are_neither_seen_nor_made(client: Client, export: Path) -> None:
    secret = HIDDEN_PREFIX + b"0" * 32
    (export / os.fsdecode(secret)).write_bytes(b"left behind by a worker that was killed")
    (export / "file").touch()
    assert client.names() == {b"file"}
    for attempt in (
        partial(client.walk, secret),
        partial(client.unlink, secret),
        partial(client.rename, secret, b"x"),
    ):
        with refused(errno.ENOENT):
            attempt()
    with refused(errno.EACCES):
        client.create(secret)
    with refused(errno.EACCES):
        client.mkdir(secret)
    with refused(errno.EACCES):
        client.rename(b"file", secret)
    (export / os.fsdecode(secret)).unlink()


@pytest.mark.parametrize("room", [40, 1000])
def test_listings_have_each_name_once_and_resume_anywhere(
    client: Client, export: Path, room: int
) -> None:
    for number in range(5):
        (export / f"old{number}").touch()
    pending = [client.create(b"new%d" % number) for number in range(5)]
    pending.append(client.open(b"old3", flags=DOTL_WRONLY | DOTL_TRUNC))
    everything = client.entries(client.open(), room)
    names = [entry.name for entry in everything]
    assert len(names) == len(set(names)) == 10
    for entry in everything:
        assert client.getattr(client.walk(entry.name)).qid.path == entry.qid.path
    fid = client.open()
    for place, entry in enumerate(everything):
        after = [found.name for found in client.readdir(fid, entry.offset)]
        assert [name for name in after if name[0] != ord(".")] == names[place + 1 :]
    for offset in (1 << 63, 1 << 63 | 99):
        with refused(errno.EINVAL):
            client.readdir(fid, offset)
    (export / "new4").write_bytes(b"Dom0 was faster")
    assert len(client.names()) == 10
    for each in pending:
        client.clunk(each)
    assert (export / "new4").read_bytes() == b""
