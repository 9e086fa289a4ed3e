"""Twalk, Tclunk, Tremove: where a walk may lead, and what becomes of the fids."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.root import MAX_CLIMB
from protocol.ninep.flags import DOTL_DIRECTORY, QTDIR, QTFILE, QTSYMLINK
from protocol.ninep.ids import NOFID, Fid
from protocol.ninep.messages import Tclunk, Tlopen, Tremove, Twalk

from .client import ROOT, TAG, Client, refused

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = Fid(4711)


@pytest.fixture
def tree(export: Path) -> Path:
    (export / "a" / "b" / "c").mkdir(parents=True)
    (export / "a" / "file").write_bytes(b"data")
    return export


def same_file(client: Client, fid: Fid, path: Path) -> bool:
    return client.getattr(fid).qid.path == path.lstat().st_ino


def test_each_name_gives_a_qid_and_the_last_is_the_new_fid(client: Client, tree: Path) -> None:
    fid = client.fid()
    wqids = client.call(Twalk(TAG, ROOT, fid, (b"a", b"b", b"c"))).wqids
    assert [qid.type for qid in wqids] == [QTDIR] * 3
    assert [qid.path for qid in wqids] == [
        (tree / name).stat().st_ino for name in ("a", "a/b", "a/b/c")
    ]
    assert same_file(client, fid, tree / "a/b/c")


def test_no_name_clones_and_the_copies_live_and_die_apart(client: Client, tree: Path) -> None:
    first = client.walk(b"a", b"file")
    second = client.walk(fid=first)
    client.clunk(first)
    assert same_file(client, second, tree / "a/file")
    client.call(Tlopen(TAG, second, 0))
    third = client.walk(fid=second)  # a walk from an open fid
    client.clunk(second)
    assert same_file(client, third, tree / "a/file")
    client.call(Tlopen(TAG, third, 0))
    assert client.read(third, 10) == b"data"


def test_a_fid_may_go_on_in_place(client: Client, tree: Path) -> None:
    fid = client.walk(b"a")
    assert len(client.call(Twalk(TAG, fid, fid, (b"b",))).wqids) == 1
    assert same_file(client, fid, tree / "a/b")
    assert client.call(Twalk(TAG, fid, fid, ())).wqids == ()
    assert same_file(client, fid, tree / "a/b")
    with refused(errno.ENOENT):
        client.call(Twalk(TAG, fid, fid, (b"missing",)))
    assert len(client.call(Twalk(TAG, fid, fid, (b"c", b"missing"))).wqids) == 1
    assert same_file(client, fid, tree / "a/b")


def test_an_open_fid_does_not_go_on_in_place(client: Client, tree: Path) -> None:
    fid = client.open(b"a", flags=DOTL_DIRECTORY)
    with refused(errno.EINVAL):
        client.call(Twalk(TAG, fid, fid, (b"b",)))
    assert client.call(Twalk(TAG, fid, fid, ())).wqids == ()
    assert {entry.name for entry in client.entries(fid)} == {
        entry.name.encode() for entry in (tree / "a").iterdir()
    }


@pytest.mark.usefixtures("tree")
def test_a_walk_that_stops_halfway_tells_how_far_and_makes_no_fid(client: Client) -> None:
    for names in [(b"a", b"missing"), (b"a", b"file", b"through"), (b"a", b"b", b"x/y", b"c")]:
        fid = client.fid()
        wqids = client.call(Twalk(TAG, ROOT, fid, names)).wqids
        assert 0 < len(wqids) < len(names)
        with refused(errno.EBADF):
            client.call(Tclunk(TAG, fid))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"missing", errno.ENOENT),
        (b"", errno.ENOENT),
        (b"a/b", errno.EINVAL),
        (b"/", errno.EINVAL),
        (b"/etc/passwd", errno.EINVAL),
        (b"../secret", errno.EINVAL),
        (b"a\0", errno.EINVAL),
        (b"\0", errno.EINVAL),
        (b"x" * 256, errno.ENAMETOOLONG),
        (b"x" * 65535, errno.ENAMETOOLONG),
    ],
)
@pytest.mark.usefixtures("tree")
def test_a_bad_name_is_refused_and_makes_no_fid(client: Client, name: bytes, code: int) -> None:
    with refused(code):
        client.call(Twalk(TAG, ROOT, Fid(5), (name,)))
    assert client.in_use() == {ROOT}


def test_names_of_255_bytes_and_of_any_byte_work(client: Client, export: Path) -> None:
    every = bytes(byte for byte in range(1, 256) if byte != ord("/"))
    for name in (b"x" * 255, every, b"...", b" ", b"\xff\xfe"):
        (export / os.fsdecode(name)).touch()
        assert same_file(client, client.walk(name), export / os.fsdecode(name))


@pytest.mark.usefixtures("tree")
def test_fids_that_cannot_be_used(client: Client) -> None:
    taken = client.walk(b"a")
    for request, code in [
        (Twalk(TAG, UNKNOWN, Fid(90), ()), errno.EBADF),
        (Twalk(TAG, ROOT, taken, ()), errno.EBUSY),
        (Twalk(TAG, ROOT, ROOT, (b"missing",)), errno.ENOENT),
        (Twalk(TAG, ROOT, NOFID, ()), errno.EBADF),
        (Tclunk(TAG, UNKNOWN), errno.EBADF),
        (Tremove(TAG, UNKNOWN), errno.EBADF),
    ]:
        with refused(code):
            client.call(request)
    assert client.in_use() == {ROOT, taken}


def test_fids_are_bounded_and_the_bound_gives_way(client: Client) -> None:
    taken = client.limits.fids.used
    client.limits.fids.used = client.limits.fids.capacity - 2
    first = client.walk()
    client.walk()
    with refused(errno.EMFILE):
        client.walk()
    client.clunk(first)
    client.walk()
    client.limits.fids.used = taken + 2


def test_descriptors_are_bounded_and_the_bound_gives_way(client: Client, tree: Path) -> None:
    slots = client.local._descriptors
    before, slots.used = slots.used, slots.capacity - 2
    first = client.walk(b"a")
    client.walk(b"a")
    with refused(errno.EMFILE):
        client.walk(b"a")
    with refused(errno.EMFILE):
        client.call(Tlopen(TAG, first, DOTL_DIRECTORY))
    with refused(errno.EMFILE):
        client.create(b"new")
    assert not (tree / "new").exists()
    client.clunk(first)
    client.walk(b"a")
    slots.used = before + 2


def test_up_stays_at_the_root_and_climbs_below_it(client: Client, tree: Path) -> None:
    for names, path in [
        ((b"..",), ""),
        ((b"..", b"..", b"a"), "a"),
        ((b"a", b".."), ""),
        ((b"a", b"b", b"c", b".."), "a/b"),
        ((b"a", b"b", b"..", b"..", b"..", b".."), ""),
    ]:
        assert same_file(client, client.walk(*names), tree / path)


def test_dot_stays_in_a_directory_and_keeps_its_name(client: Client, tree: Path) -> None:
    for names, path in [
        ((b".",), ""),
        ((b"a", b".", b"b", b"."), "a/b"),
        ((b".", b"a", b"..", b"."), ""),
    ]:
        fid = client.fid()
        assert len(client.call(Twalk(TAG, ROOT, fid, names)).wqids) == len(names)
        assert same_file(client, fid, tree / path)
    client.call(Twalk(TAG, fid, fid, (b"a", b"b", b"c", b".")))
    copy = client.walk(b".", fid=fid)
    client.rename(b"c", b"renamed", fid=client.walk(b"a", b"b"))
    client.remove(copy)
    assert not (tree / "a/b/renamed").exists()
    with refused(errno.EBUSY):
        client.remove(client.walk(b"a", b"b", b"..", b"."))
    (tree / "link").symlink_to("a")
    for name in (b"a/file".split(b"/"), [b"link"]):
        with refused(errno.ENOTDIR):
            client.walk(b".", fid=client.walk(*name))


@pytest.mark.usefixtures("tree")
def test_up_from_a_file_is_refused(client: Client) -> None:
    with refused(errno.ENOTDIR):
        client.walk(b"..", fid=client.walk(b"a", b"file"))


def test_up_from_a_directory_that_dom0_moved_out_is_refused(client: Client, tree: Path) -> None:
    deep = client.walk(b"a", b"b", b"c")
    top = client.walk(b"a")
    (tree / "a").rename(tree.parent / "taken")
    for fid in (deep, top):
        with refused(errno.EACCES):
            client.walk(b"..", fid=fid)
    # The way down still works, as an open directory does for any process.
    assert same_file(client, client.walk(b"b", fid=top), tree.parent / "taken/b")


def test_up_from_farther_down_than_any_path_is_refused(client: Client, export: Path) -> None:
    fid = client.walk()
    for _ in range(MAX_CLIMB + 1):
        client.mkdir(b"d", fid=fid)
        client.call(Twalk(TAG, fid, fid, (b"d",)))
    try:
        with refused(errno.ENAMETOOLONG):
            client.walk(b"..", b"..", fid=fid)
        assert client.call(Twalk(TAG, fid, client.fid(), ())).wqids == ()
    finally:
        while (export / "d").exists():  # rmtree would run out of stack
            if (export / "d/d").exists():
                (export / "d/d").rename(export / "e")
            (export / "d").rmdir()
            if (export / "e").exists():
                (export / "e").rename(export / "d")


def test_links_are_walked_to_and_never_through(client: Client, tree: Path) -> None:
    (tree / "out").symlink_to(tree.parent)
    (tree / "in").symlink_to("a")
    (tree / "loop").symlink_to("loop")
    (tree / "absolute").symlink_to("/etc/passwd")
    (tree / "a" / "up").symlink_to("../../secret")
    for names in [(b"out",), (b"in",), (b"loop",), (b"absolute",), (b"a", b"up")]:
        fid = client.walk(*names)
        qid = client.getattr(fid).qid
        path = tree / b"/".join(names).decode()
        assert (qid.type, qid.path) == (QTSYMLINK, path.lstat().st_ino)
        for onward in (b"secret", b"b", b".."):
            with refused(errno.ENOTDIR):
                client.walk(onward, fid=fid)
        with refused(errno.ELOOP):
            client.call(Tlopen(TAG, fid, 0))


def test_special_files_are_walked_to_as_plain_ones(client: Client, export: Path) -> None:
    os.mkfifo(export / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(export / "socket"))
    for name in (b"fifo", b"socket"):
        assert client.getattr(client.walk(name)).qid.type == QTFILE


def test_clunk_closes_and_the_number_is_free_again(client: Client, tree: Path) -> None:
    fid = client.open(b"a", b"file")
    client.clunk(fid)
    with refused(errno.EBADF):
        client.read(fid, 1)
    client.call(Twalk(TAG, ROOT, fid, (b"a",)))
    assert same_file(client, fid, tree / "a")


def test_remove_takes_files_links_and_empty_directories(client: Client, tree: Path) -> None:
    (tree / "link").symlink_to("a/file")
    os.mkfifo(tree / "fifo")
    for names in [(b"link",), (b"fifo",), (b"a", b"file"), (b"a", b"b", b"c")]:
        client.remove(client.walk(*names))
        assert not os.path.lexists(tree / b"/".join(names).decode())
    client.remove(client.create(b"made", data=b"x"))
    assert not (tree / "made").exists()
    assert client.in_use() == {ROOT}


def test_remove_follows_the_clone_of_a_fid_and_a_walk_in_place(client: Client, tree: Path) -> None:
    fid = client.walk(b"a")
    client.call(Twalk(TAG, fid, fid, (b"file",)))
    clone = client.walk(fid=fid)
    client.clunk(fid)
    client.remove(clone)
    assert not (tree / "a/file").exists()


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ((), errno.EBUSY),
        ((b"..",), errno.EBUSY),
        ((b"a", b"b", b".."), errno.EBUSY),
        ((b"a",), errno.ENOTEMPTY),
    ],
)
def test_remove_that_fails_clunks_all_the_same(
    client: Client, tree: Path, names: tuple[bytes, ...], code: int
) -> None:
    with refused(code):
        client.remove(client.walk(*names))
    assert client.in_use() == {ROOT}
    assert (tree / "a/b/c").is_dir()


def test_remove_never_takes_another_file_of_the_name(client: Client, tree: Path) -> None:
    replaced, gone, moved = (client.walk(b"a", b"file") for _ in range(3))
    (tree / "a/file").rename(tree / "kept")
    with refused(errno.ENOENT):
        client.remove(gone)
    (tree / "a/file").write_bytes(b"other")
    with refused(errno.ESTALE):
        client.remove(replaced)
    (tree / "a/file").unlink()
    (tree / "a/file").mkdir()
    with refused(errno.ESTALE):
        client.remove(moved)
    assert (tree / "kept").read_bytes() == b"data"
    assert (tree / "a/file").is_dir()
