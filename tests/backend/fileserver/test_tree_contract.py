"""What every file tree must do: a Dom0 directory, and policies around it."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import NOBODY, Changes, Device, Owner
from backend.fileserver.limits import Slots
from backend.fileserver.local_files import READ_AHEAD
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from backend.fileserver.policies.sync_on_close import SyncOnCloseTree
from backend.fileserver.syscalls import NOW, Timespec
from protocol.ninep.directory import ENTRY_SIZE, decode_entries
from protocol.ninep.flags import QTDIR, QTFILE, QTSYMLINK

from .client import outcome, refused
from .holder import Holder, read, write
from .quotas import with_quota
from .wrapping import WrappedTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Dirent

TREES: dict[str, Callable[[LocalTree], Tree]] = {
    "local": lambda local: local,
    "wrapped": WrappedTree,
    "wrapped twice": lambda local: WrappedTree(WrappedTree(local)),
    "sync on close": SyncOnCloseTree,
    "atomic commit": AtomicCommitTree,
    "mapped, atomic, synced": lambda local: SyncOnCloseTree(
        AtomicCommitTree(MappedXattrTree(local))
    ),
    "quota": with_quota,
    "quota, mapped ownership": lambda local: MappedXattrTree(with_quota(local)),
    "quota, full": lambda local: with_quota(local, max_space=100 << 20, max_files=500),
    "quota, atomic commit": lambda local: AtomicCommitTree(with_quota(local)),
    "mapped ownership": MappedXattrTree,
    "mapped ownership, wrapped": lambda local: WrappedTree(MappedXattrTree(WrappedTree(local))),
}


@pytest.fixture(params=TREES)
def held(request: pytest.FixtureRequest, export: Path) -> Iterator[Holder]:
    if "mapped" in request.param:
        request.getfixturevalue("user_attributes")
    slots = Slots("descriptors", 200)
    tree = TREES[request.param](LocalTree(str(export), slots))
    held = Holder(tree)
    yield held
    held.release()
    assert slots.used == 1
    tree.close()
    assert slots.used == 0


def test_the_root_is_a_directory_and_its_own_parent(held: Holder) -> None:
    root = held.tree.root
    assert (root.kind, root.qid.type) == (stat.S_IFDIR, QTDIR)
    assert held.node(held.tree.parent(root)) is root
    qid, status = held.tree.getattr(root)
    assert qid.path == root.qid.path
    assert stat.S_ISDIR(status.st_mode)


def test_lookup_finds_each_kind_as_itself(held: Holder, export: Path) -> None:
    (export / "dir/below").mkdir(parents=True)
    (export / "file").touch()
    (export / "link").symlink_to("dir")
    for names, kind, qid_type in [
        ((b"dir",), stat.S_IFDIR, QTDIR),
        ((b"dir", b"below"), stat.S_IFDIR, QTDIR),
        ((b"file",), stat.S_IFREG, QTFILE),
        ((b"link",), stat.S_IFLNK, QTSYMLINK),
    ]:
        node = held.lookup(*names)
        assert (node.kind, node.qid.type) == (kind, qid_type)
    with refused(errno.ENOENT):
        held.lookup(b"missing")
    for names in [(b"file", b"x"), (b"link", b"below")]:
        with refused(errno.ENOTDIR):
            held.lookup(*names)


def test_the_same_file_has_the_same_path_and_no_other_has(held: Holder, export: Path) -> None:
    for name in ("a", "b"):
        (export / name).touch()
    os.link(export / "a", export / "c")
    paths = {name: held.lookup(name).qid.path for name in (b"a", b"b", b"c")}
    assert paths[b"a"] == paths[b"c"] != paths[b"b"]
    held.tree.rename(held.tree.root, b"a", held.tree.root, b"d")
    assert held.lookup(b"d").qid.path == paths[b"c"]


def test_parent_goes_up_step_by_step(held: Holder, export: Path) -> None:
    (export / "one/two").mkdir(parents=True)
    deep = held.lookup(b"one", b"two")
    middle = held.node(held.tree.parent(deep))
    assert middle.qid.path == held.lookup(b"one").qid.path
    assert held.node(held.tree.parent(middle)).qid.path == held.tree.root.qid.path


def test_a_shared_node_lives_until_its_last_holder_lets_go(held: Holder, export: Path) -> None:
    (export / "file").write_bytes(b"data")
    node = held.tree.lookup(held.tree.root, b"file")
    assert node.hold() is node
    node.release()
    assert held.tree.getattr(node)[1].st_size == 4
    node.release()


def test_open_reads_and_writes_as_asked(held: Holder, export: Path) -> None:
    (export / "file").write_bytes(b"0123456789")
    file = held.open(b"file")
    assert (file.writable, read(file, 4, 3)) == (False, b"3456")
    with refused(errno.EBADF):
        write(file, b"x")
    file = held.open(b"file", flags=os.O_WRONLY | os.O_TRUNC)
    assert (file.writable, write(file, b"abc", 1)) == (True, 3)
    with refused(errno.EBADF):
        read(file, 1)
    held.close(file)
    assert (export / "file").read_bytes() == b"\0abc"
    with refused(errno.ENOTDIR):
        held.open(b"file").entries(0)


def test_open_refuses_what_is_neither_file_nor_directory(held: Holder, export: Path) -> None:
    os.mkfifo(export / "fifo")
    (export / "link").symlink_to("fifo")
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        for name, code in [(b"fifo", errno.ENXIO), (b"link", errno.ELOOP)]:
            with refused(code):
                held.open(name, flags=flags)
    with refused(errno.EISDIR):
        held.file(held.tree.open(held.tree.root, os.O_RDWR))


def test_create_gives_the_file_and_its_node(held: Holder, export: Path) -> None:
    node, file = held.create(b"new", mode=0o640)
    assert write(file, b"data") == 4
    qid, status = held.tree.getattr(node)
    assert qid.path == held.lookup(b"new").qid.path
    assert (status.st_size, stat.S_IMODE(status.st_mode)) == (4, 0o640)
    with refused(errno.EEXIST):
        held.create(b"new", os.O_RDWR | os.O_EXCL)
    held.close(file)
    assert (export / "new").read_bytes() == b"data"
    with refused(errno.EEXIST):
        held.create(b"new", os.O_RDWR | os.O_EXCL)
    assert read(held.create(b"new")[1], 9) == b"data"


def test_mkdir_unlink_rename(held: Holder, export: Path) -> None:
    tree, root = held.tree, held.tree.root
    qid = tree.mkdir(root, b"dir", 0o750, Owner(os.geteuid(), os.getegid()))
    assert qid.path == held.lookup(b"dir").qid.path
    assert stat.S_IMODE(held.tree.getattr(held.lookup(b"dir"))[1].st_mode) == 0o750
    held.create(b"file")
    tree.rename(root, b"file", held.lookup(b"dir"), b"moved")
    with refused(errno.ENOTEMPTY):
        tree.unlink(root, b"dir", directory=True)
    with refused(errno.EISDIR):
        tree.unlink(root, b"dir", directory=False)
    with refused(errno.ENOTDIR):
        tree.unlink(held.lookup(b"dir"), b"moved", directory=True)
    tree.unlink(held.lookup(b"dir"), b"moved", directory=False)
    tree.unlink(root, b"dir", directory=True)
    assert list(export.iterdir()) == []


def test_a_symbolic_link_is_a_file_of_its_own(held: Holder) -> None:
    tree, root = held.tree, held.tree.root
    for target in (b"file", b"../../etc", bytes(range(1, 256)), b"t" * 4095):
        qid = tree.symlink(root, b"link", target, NOBODY)
        node = held.lookup(b"link")
        assert (qid, node.kind) == (node.qid, stat.S_IFLNK)
        assert tree.readlink(node) == target
        with refused(errno.EEXIST):
            tree.symlink(root, b"link", b"x", NOBODY)
        tree.unlink(root, b"link", directory=False)
        assert tree.readlink(node) == target
    for node in (root, held.create(b"file")[0]):
        with refused(errno.EINVAL):
            tree.readlink(node)
        with refused(errno.EEXIST):
            tree.symlink(root, b"file", b"x", NOBODY)


def test_setattr_of_a_link_never_reaches_its_target(held: Holder, export: Path) -> None:
    held.make(b"file", mode=0o640)
    held.tree.symlink(held.tree.root, b"link", b"file", NOBODY)
    before = (export / "file").stat()
    node = held.lookup(b"link")
    held.tree.setattr(node, None, Changes(mtime=Timespec(5, 6)))
    held.tree.setattr(node, None, Changes(owner=Owner(os.geteuid(), os.getegid())))
    with refused(errno.EOPNOTSUPP):
        held.tree.setattr(node, None, Changes(mode=0o777, mtime=Timespec(7, 8)))
    assert (export / "link").lstat().st_mtime_ns == 5 * 10**9 + 6
    assert (export / "file").stat() == before


def test_mknod_makes_fifos_sockets_and_files_and_never_a_device_of_dom0(
    held: Holder, export: Path
) -> None:
    tree, root = held.tree, held.tree.root
    for kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG):
        qid = tree.mknod(root, b"node", kind | 0o640, Device(1, 3), NOBODY)
        node = held.lookup(b"node")
        status = tree.getattr(node)[1]
        assert (qid.path, node.kind, status.st_mode) == (node.qid.path, kind, kind | 0o640)
        with refused(errno.EEXIST):
            tree.mknod(root, b"node", kind | 0o640, Device(0, 0), NOBODY)
        tree.unlink(root, b"node", directory=False)
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        made = partial(tree.mknod, root, b"node", kind | 0o666, Device(1, 3), NOBODY)
        if not outcome(made, errno.EPERM)[0]:
            assert stat.S_ISREG((export / "node").lstat().st_mode)
            tree.unlink(root, b"node", directory=False)
    with refused(errno.ENOENT):
        held.lookup(b"node")


def test_link_gives_the_very_file_one_more_name(held: Holder, export: Path) -> None:
    tree, root = held.tree, held.tree.root
    tree.mkdir(root, b"dir", 0o755, NOBODY)
    tree.symlink(root, b"symlink", b"dir", NOBODY)
    file, link = held.make(b"file"), held.lookup(b"symlink")
    tree.rename(root, b"file", root, b"moved")
    for node in (file, link):
        tree.link(node, held.lookup(b"dir"), b"twin")
        assert held.lookup(b"dir", b"twin").qid.path == node.qid.path
        assert tree.getattr(node)[1].st_nlink == 2
        tree.unlink(held.lookup(b"dir"), b"twin", directory=False)
    with refused(errno.EEXIST):
        tree.link(file, root, b"symlink")
    with refused(errno.EPERM):
        tree.link(held.lookup(b"dir"), root, b"other")
    tree.unlink(root, b"moved", directory=False)
    with refused(errno.ENOENT):
        tree.link(file, root, b"back")
    assert {path.name for path in export.iterdir()} == {"dir", "symlink"}


def test_user_attributes_are_kept_and_no_others(held: Holder) -> None:
    tree, (node, _file) = held.tree, held.create(b"file", mode=0o600)
    code, _none = outcome(lambda: tree.xattr_set(node, b"user.a", b"1", 0), errno.EOPNOTSUPP)
    if code:
        pytest.skip("the file system of the test's directory has no user attributes")
    tree.xattr_set(node, b"user.b", b"\0" * 100, os.XATTR_CREATE)
    tree.xattr_set(tree.root, b"user.c", b"", 0)
    assert sorted(tree.xattr_list(node)) == [b"user.a", b"user.b"]
    assert tree.xattr_list(tree.root) == [b"user.c"]
    assert tree.xattr_get(node, b"user.b") == b"\0" * 100
    with refused(errno.EEXIST):
        tree.xattr_set(node, b"user.a", b"2", os.XATTR_CREATE)
    with refused(errno.ENODATA):
        tree.xattr_set(node, b"user.x", b"2", os.XATTR_REPLACE)
    tree.unlink(tree.root, b"file", directory=False)
    tree.xattr_set(node, b"user.a", b"2", os.XATTR_REPLACE)
    assert tree.xattr_get(node, b"user.a") == b"2"
    tree.xattr_remove(node, b"user.a")
    tree.xattr_remove(tree.root, b"user.c")
    assert tree.xattr_list(node) == [b"user.b"]
    with refused(errno.ENODATA):
        tree.xattr_get(node, b"user.a")
    for name in (b"security.capability", b"trusted.x", b"nonsense"):
        with refused(errno.EOPNOTSUPP):
            tree.xattr_get(node, name)
    names = [b"user.a", b"user.b", b"security.capability"]
    assert tree.xattr_values(node, names) == [None, b"\0" * 100, None]
    assert tree.xattr_values(tree.root, []) == []
    for name in (b"security.capability", b"trusted.x"):
        with refused(errno.EOPNOTSUPP):
            tree.xattr_set(node, name, b"", 0)
        with refused(errno.EOPNOTSUPP):
            tree.xattr_remove(node, name)
    with refused(errno.ENODATA):
        tree.xattr_remove(node, b"user.a")


def test_setattr_changes_what_is_asked_and_nothing_else(held: Holder, export: Path) -> None:
    (export / "file").write_bytes(b"0123456789")
    node = held.lookup(b"file")
    for changes, expected in [
        (Changes(size=3), {"st_size": 3}),
        (Changes(mode=0o4711), {"st_mode": stat.S_IFREG | 0o4711}),
        (Changes(atime=Timespec(5, 6)), {"st_atime_ns": 5 * 10**9 + 6}),
        (Changes(mtime=Timespec(-7, 8)), {"st_mtime_ns": -7 * 10**9 + 8}),
        (Changes(owner=Owner(os.geteuid(), os.getegid())), {}),
        (Changes(), {}),
    ]:
        before = held.tree.getattr(node)[1]
        held.tree.setattr(node, None, changes)
        after = held.tree.getattr(node)[1]
        for name in ("st_size", "st_mode", "st_uid", "st_gid", "st_atime_ns", "st_mtime_ns"):
            if name in expected:
                assert getattr(after, name) == expected[name]
            elif (name, changes.size) != ("st_mtime_ns", 3) and changes.owner == NOBODY:
                assert getattr(after, name) == getattr(before, name)
    held.tree.setattr(node, None, Changes(mtime=NOW))
    assert held.tree.getattr(node)[1].st_mtime_ns > 10**18


def test_setattr_resizes_through_a_writable_file(held: Holder) -> None:
    node, file = held.create(b"file", mode=0)
    write(file, b"0123456789")
    held.tree.setattr(node, file, Changes(size=5))
    assert held.tree.getattr(node)[1].st_size == 5


def test_entries_resume_at_every_cookie(held: Holder, export: Path) -> None:
    # Names this long make the kernel's own buffer end within the directory, several times.
    count = 3 * READ_AHEAD // 200
    for number in range(count):
        (export / f"{number:0200}").touch()
    file = held.file(held.tree.open(held.tree.root, os.O_RDONLY))
    everything = list(file.entries(0))
    assert len({entry.name for entry in everything}) == count + 2
    for place in range(0, len(everything), 7):
        rest = file.entries(everything[place].offset)
        assert list(rest) == everything[place + 1 :]


def test_an_entry_not_accepted_comes_again(held: Holder, export: Path) -> None:
    for number in range(20):
        (export / f"{number}").touch()
    file = held.file(held.tree.open(held.tree.root, os.O_RDONLY))
    everything = list(file.entries(0))
    seen: list[Dirent] = []
    cookie = 0
    while len(seen) < len(everything):
        entries = iter(file.entries(cookie))
        seen.append(next(entries))
        next(entries, None)  # accepts the one before, and is itself left
        cookie = seen[-1].offset
    assert seen == everything


@pytest.mark.parametrize("room", [ENTRY_SIZE + 200, 1000, 50_000])
def test_packed_entries_are_the_entries_and_resume_anywhere(
    held: Holder, export: Path, room: int
) -> None:
    count = 3 * READ_AHEAD // 200
    for number in range(count):
        (export / f"{number:0200}").touch()
    file = held.file(held.tree.open(held.tree.root, os.O_RDONLY))
    everything = list(file.entries(0))
    packed: list[Dirent] = []
    cookie = 0
    while data := file.pack_entries(cookie, room):
        assert len(data) <= room
        packed += decode_entries(data)
        cookie = packed[-1].offset
    assert packed == everything
    for place in (0, count // 2, 7, count + 1):
        rest = decode_entries(file.pack_entries(everything[place].offset, room))
        assert rest == everything[place + 1 : place + 1 + len(rest)]
    with refused(errno.EINVAL):
        file.pack_entries(0, ENTRY_SIZE)
    with refused(errno.EINVAL):
        file.pack_entries(1 << 63, room)
    assert decode_entries(file.pack_entries(0, room))[0] == everything[0]
    with refused(errno.ENOTDIR):
        held.create(b"file")[1].pack_entries(0, room)


def test_a_pin_syncs_when_the_file_is_closed(held: Holder) -> None:
    node, file = held.tree.create(held.tree.root, b"file", os.O_RDWR, 0o600, NOBODY)
    write(file, b"data")
    pin = file.pin()
    file.close()
    node.release()
    pin.sync(data_only=True)
    pin.sync(data_only=False)
    pin.close()


def test_statfs_adds_up(held: Holder) -> None:
    space = held.tree.statfs(held.tree.root)
    assert 0 < space.bavail <= space.bfree <= space.blocks
    assert space.bsize >= 512
    assert space.namelen >= 255
