"""Named files: what is in the list, as Dom0 has it at the moment, and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from typing import TYPE_CHECKING

import pytest

from backend.exports import ExportError
from backend.fileserver.files import NOBODY, Changes, Device, Owner
from backend.fileserver.limits import Slots
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.named_files import NamedFilesTree
from backend.share import NamedFile, Share
from backend.worker.sessions import open_tree
from protocol.ninep.flags import (
    AT_REMOVEDIR,
    DOTL_DIRECTORY,
    DOTL_EXCL,
    DOTL_RDONLY,
    DOTL_RDWR,
    DOTL_TRUNC,
    DOTL_WRONLY,
    QTDIR,
)
from protocol.ninep.ids import NOFID
from protocol.ninep.messages import Tattach, Tlcreate, Tlopen
from tests.backend.fileserver.client import ROOT, TAG, Client, refused
from tests.backend.fileserver.policies.share_client import ShareClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


SHARED_MEMORY = "/dev/shm"  # noqa: S108 -- a file system other than the one of temporary files


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other"
    path.mkdir()
    return path


@pytest.fixture
def client(export: Path, other: Path) -> Iterator[Client]:
    """``save`` is writable and ``load`` is not; both have neighbours in Dom0."""
    for folder in (export, other):
        (folder / "neighbour").write_bytes(b"a neighbour's")
    (other / "restore.7").write_bytes(b"state")
    files = (
        NamedFile("save", str(export / "qemu-save.7"), writable=True),
        NamedFile("load", str(other / "restore.7"), writable=False),
        NamedFile("again", str(other / "restore.7"), writable=True),
    )
    client = ShareClient(Share(files=files))
    yield client
    client.close()


def test_only_names_whose_files_are_there_are_listed(
    client: Client, export: Path, other: Path
) -> None:
    assert client.names() == {b"load", b"again"}
    (export / "qemu-save.7").touch()
    assert client.names() == {b"save", b"load", b"again"}
    (other / "restore.7").unlink()
    assert client.names() == {b"save"}


def test_a_listing_resumes_at_every_position_and_its_qids_are_the_files(
    client: Client, export: Path
) -> None:
    (export / "qemu-save.7").touch()
    fid = client.open(flags=DOTL_DIRECTORY)
    everything = client.readdir(fid)
    assert [entry.name for entry in everything] == [b".", b"..", b"save", b"load", b"again"]
    assert client.readdir(fid) == everything
    for place, entry in enumerate(everything):
        assert client.readdir(fid, entry.offset) == everything[place + 1 :]
        assert client.readdir(fid, entry.offset, room=40) == everything[place + 1 : place + 2]
    with refused(errno.EINVAL):
        client.readdir(fid, 1 << 63)
    for entry in everything[2:]:
        assert client.getattr(client.walk(entry.name)).qid.path == entry.qid.path
    assert everything[3].qid.path == everything[4].qid.path != everything[2].qid.path
    with refused(errno.EISDIR):
        client.read(fid, 10)
    with refused(errno.EBADF):
        client.write(fid, b"x")


def test_the_root_is_a_directory_of_its_own(client: Client, export: Path) -> None:
    tree, root, before = client.session.tree, client.session.tree.root, export.stat()
    reply = client.getattr(ROOT)
    assert reply.qid.type == QTDIR
    assert stat.S_ISDIR(reply.mode)
    assert reply.qid.path != before.st_ino
    assert client.getattr(client.walk(b"..")).qid == reply.qid
    assert client.statfs().blocks == os.statvfs(export).f_blocks
    client.setattr(ROOT, 0)
    for attempt in (
        partial(tree.setattr, root, None, Changes(mode=0)),
        partial(tree.xattr_set, root, b"user.a", b"", 0),
    ):
        with refused(errno.EACCES):
            attempt()
    assert tree.xattr_list(root) == []
    assert tree.xattr_values(root, [b"user.a"]) == [None]
    with refused(errno.ENODATA):
        tree.xattr_get(root, b"user.a")
    with refused(errno.EINVAL):
        tree.readlink(root)
    for flags in (DOTL_WRONLY, DOTL_TRUNC):
        with refused(errno.EISDIR):
            client.open(flags=flags)
    after = export.stat()
    assert (after.st_mode, after.st_ctime_ns) == (before.st_mode, before.st_ctime_ns)


def test_a_neighbour_and_what_does_not_exist_are_answered_alike(
    client: Client, export: Path
) -> None:
    for name in (b"neighbour", b"nobody", b"qemu-save.7", b"restore.7"):
        with refused(errno.ENOENT):
            client.walk(name)
        for flags in (DOTL_RDONLY, DOTL_WRONLY | DOTL_EXCL):
            with refused(errno.EACCES):
                client.create(name, flags)
        with refused(errno.EACCES):
            client.mkdir(name)
        with refused(errno.ENOENT):
            client.unlink(name)
        with refused(errno.ENOENT):
            client.rename(name, b"save")
        with refused(errno.EACCES):
            client.rename(b"again", name)
    for name in (b"../neighbour", b"a/b", b"/etc/passwd"):
        with refused(errno.EINVAL):
            client.walk(name)
        with refused(errno.ENOENT):
            client.call(Tattach(TAG, client.fid(), NOFID, b"", b"neighbour", 0))
    with refused(errno.ENOTDIR):
        client.walk(b"load", b"neighbour")
    assert (export / "neighbour").read_bytes() == b"a neighbour's"


def test_dom0_removes_and_makes_the_file_anew(client: Client, export: Path) -> None:
    path = export / "qemu-save.7"
    with refused(errno.ENOENT):
        client.walk(b"save")
    path.write_bytes(b"first")
    first = client.open(b"save")
    path.unlink()
    with refused(errno.ENOENT):
        client.walk(b"save")
    path.write_bytes(b"second")
    assert client.read(client.open(b"save"), 9) == b"second"
    assert client.read(first, 9) == b"first"


def test_a_writable_name_is_made_written_shortened_and_removed(
    client: Client, export: Path
) -> None:
    path = export / "qemu-save.7"
    fid = client.create(b"save", DOTL_RDWR | DOTL_EXCL, 0o6660, data=b"long state", gid=12)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"long state", 0o660)
    assert (path.stat().st_uid, path.stat().st_gid) == (os.geteuid(), os.getegid())
    with refused(errno.EEXIST):
        client.create(b"save", DOTL_RDWR | DOTL_EXCL)
    client.truncate(fid, 4)
    client.clunk(fid)
    assert path.read_bytes() == b"long"
    client.clunk(client.open(b"save", flags=DOTL_WRONLY | DOTL_TRUNC))
    assert path.read_bytes() == b""
    assert client.read(client.create(b"save", DOTL_RDONLY), 9) == b""
    with refused(errno.ENOTDIR):
        client.unlink(b"save", AT_REMOVEDIR)
    client.unlink(b"save")
    assert not path.exists()
    with refused(errno.ENOENT):
        client.unlink(b"save")


def test_a_read_only_name_is_read_and_nothing_else(client: Client, other: Path) -> None:
    before = (other / "restore.7").stat()
    tree, root = client.session.tree, client.session.tree.root
    assert client.read(client.open(b"load"), 9) == b"state"
    assert client.read(client.create(b"load", DOTL_RDONLY), 9) == b"state"
    with refused(errno.EEXIST):
        client.create(b"load", DOTL_RDONLY | DOTL_EXCL)
    for flags in (DOTL_WRONLY, DOTL_RDWR, DOTL_TRUNC):
        with refused(errno.EACCES):
            client.open(b"load", flags=flags)
    with refused(errno.EACCES):
        client.create(b"load", DOTL_WRONLY)
    with refused(errno.EACCES):
        client.unlink(b"load")
    with refused(errno.EACCES):
        client.rename(b"load", b"save")
    fid = client.walk(b"load")
    with refused(errno.EACCES):
        client.truncate(fid, 0)
    node = tree.lookup(root, b"load")
    for attempt in (
        partial(tree.xattr_set, node, b"user.a", b"", 0),
        partial(tree.xattr_remove, node, b"user.a"),
    ):
        with refused(errno.EACCES):
            attempt()
    assert tree.xattr_list(node) == []
    assert tree.xattr_values(node, [b"user.a"]) == [None]
    node.release()
    (other / "restore.7").unlink()
    with refused(errno.EACCES):
        client.create(b"load", DOTL_RDONLY)
    assert before.st_size == 5


def test_the_same_file_by_its_writable_name(client: Client, other: Path) -> None:
    fid = client.open(b"again", flags=DOTL_RDWR)
    client.write(fid, b"STATE")
    assert client.read(client.open(b"load"), 9) == b"STATE"
    tree, root = client.session.tree, client.session.tree.root
    node = tree.lookup(root, b"again")
    tree.setattr(node, None, Changes(mode=0o640, owner=Owner(12, 12)))
    with refused(errno.EPERM):
        tree.setattr(node, None, Changes(mode=0o4755))
    tree.xattr_set(node, b"user.a", b"1", 0)
    assert tree.xattr_get(node, b"user.a") == b"1"
    tree.xattr_remove(node, b"user.a")
    node.release()
    found = (other / "restore.7").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o640, os.geteuid())


def test_no_entry_of_another_kind_is_made(client: Client) -> None:
    tree, root = client.session.tree, client.session.tree.root
    node = tree.lookup(root, b"again")
    for name, code in ((b"save", errno.EACCES), (b"load", errno.EEXIST), (b"x", errno.EACCES)):
        for attempt in (
            partial(tree.mkdir, root, name, 0o755, NOBODY),
            partial(tree.symlink, root, name, b"/etc/passwd", NOBODY),
            partial(tree.mknod, root, name, stat.S_IFIFO, Device(0, 0), NOBODY),
            partial(tree.link, node, root, name),
        ):
            with refused(code):
                attempt()
    with refused(errno.ENOTDIR):
        tree.mkdir(node, b"x", 0o755, NOBODY)
    node.release()


def test_a_rename_within_the_share_is_one_between_file_systems(client: Client) -> None:
    tree, root = client.session.tree, client.session.tree.root
    with refused(errno.EXDEV):
        client.rename(b"again", b"save")
    client.rename(b"again", b"again")
    for name in (b"load", b"x"):
        with refused(errno.EACCES):
            client.rename(b"again", name)
    node = tree.lookup(root, b"again")
    with refused(errno.ENOTDIR):
        tree.rename(root, b"again", node, b"save")
    node.release()


def test_links_directories_and_devices_of_dom0_are_refused(client: Client, export: Path) -> None:
    path = export / "qemu-save.7"
    for make in (
        partial(path.symlink_to, "neighbour"),
        partial(path.symlink_to, "nothing"),
        partial(os.mkfifo, path),
        path.mkdir,
    ):
        make()
        assert client.names() == {b"load", b"again"}
        with refused(errno.EACCES):
            client.walk(b"save")
        for flags in (DOTL_RDWR, DOTL_WRONLY | DOTL_TRUNC):
            with refused(errno.EACCES):
                client.create(b"save", flags)
        with refused(errno.EACCES):
            client.unlink(b"save")
        path.rmdir() if path.is_dir() else path.unlink()
    assert (export / "neighbour").read_bytes() == b"a neighbour's"


def test_a_link_that_comes_between_walk_and_open_leads_nowhere(
    client: Client, export: Path
) -> None:
    path = export / "qemu-save.7"
    path.write_bytes(b"mine")
    fid = client.walk(b"save")
    path.unlink()
    path.symlink_to("neighbour")
    client.call(Tlopen(TAG, fid, DOTL_RDWR))
    assert client.read(fid, 9) == b"mine"


def test_the_directory_is_pinned_at_the_start(client: Client, export: Path) -> None:
    export.rename(export.parent / "moved")
    export.symlink_to("other")
    fid = client.walk()
    client.call(Tlcreate(TAG, fid, b"save", DOTL_WRONLY, 0o600, 0))
    assert (export.parent / "moved" / "qemu-save.7").exists()


def test_a_sync_of_the_root_syncs_where_the_files_are(client: Client) -> None:
    client.fsync(client.open(flags=DOTL_DIRECTORY))


@pytest.mark.skipif(
    not os.path.isdir(SHARED_MEMORY) or os.stat(SHARED_MEMORY).st_dev == os.stat("/tmp").st_dev,  # noqa: S108 -- as above
    reason="there is no second file system to put a file on",
)
def test_files_of_two_file_systems_are_told_apart(export: Path) -> None:
    path = os.path.join(SHARED_MEMORY, f"named-{os.getpid()}")
    files = (
        NamedFile("here", str(export / "file"), writable=True),
        NamedFile("there", path, writable=True),
    )
    client = ShareClient(Share(files=files))
    try:
        for name in (b"here", b"there"):
            client.clunk(client.create(name, data=name))
        here, there = client.walk(b"here"), client.walk(b"there")
        assert client.statfs(here).blocks == os.statvfs(export).f_blocks
        assert client.statfs(there).blocks == os.statvfs(SHARED_MEMORY).f_blocks
        paths = {client.getattr(fid).qid.path for fid in (ROOT, here, there)}
        assert len(paths) == 3
        with refused(errno.EXDEV):
            client.rename(b"here", b"there")
    finally:
        client.close()
        os.unlink(path)


def test_each_directory_must_be_there_and_allowed(export: Path, other: Path) -> None:
    files = (
        NamedFile("a", str(export / "a"), writable=True),
        NamedFile("b", str(other / "b"), writable=True),
    )
    with pytest.raises(ExportError, match=r"other: lies at .*, which is not below an entry of"):
        open_tree(Share(files=files), (str(export),), "")
    other.rmdir()
    with pytest.raises(ExportError, match="No such file or directory"):
        open_tree(Share(files=files), (), "")


def test_too_few_descriptors_are_an_error_and_leave_none_behind(export: Path) -> None:
    slots = Slots("descriptors", 3)
    tree = NamedFilesTree(LocalTree(str(export), slots))
    tree.add(b"a", os.open(export, os.O_PATH), b"a", writable=True)
    with refused(errno.EMFILE):
        tree.add(b"b", os.open(export.parent, os.O_PATH), b"b", writable=True)
    root = tree.open(tree.root, os.O_RDONLY)
    with refused(errno.EMFILE):
        root.pin()
    assert root.fileno() == tree.root.fd
    tree.close()
    assert slots.used == 0
