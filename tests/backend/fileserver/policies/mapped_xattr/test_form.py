"""Owners, modes and kinds in attributes: QEMU's form, read and written."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import NO_CHANGE, NOBODY, Changes, Device, Owner
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.mapped_xattr import MAX_TARGET, MappedXattrTree
from backend.fileserver.syscalls import Timespec
from protocol.ninep.flags import DT_DIR, DT_FIFO, DT_LNK, DT_UNKNOWN
from tests.backend.fileserver.client import refused, unprivileged
from tests.backend.fileserver.holder import Holder, read
from tests.backend.fileserver.policies.mapped_xattr.qemu_form import (
    IDS,
    MADE,
    NO_DEVICE,
    OWNER,
    Made,
    shown,
    store,
    stored,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_what_the_guest_makes_lies_on_disk_as_qemu_has_it(
    held: Holder, export: Path, made: Made
) -> None:
    qid = made.make(held.tree, held.tree.root)
    status = (export / "new").lstat()
    assert stored(export / "new") == made.attributes
    assert (status.st_mode, status.st_uid) == (made.mode, os.geteuid())
    if stat.S_ISREG(made.mode):
        assert (export / "new").read_bytes() == made.content
    if qid is not None:
        assert qid == held.lookup(b"new").qid


def test_what_qemu_has_on_disk_is_shown_as_the_guest_made_it(
    held: Holder, export: Path, made: Made
) -> None:
    path = export / "new"
    if stat.S_ISDIR(made.mode):
        path.mkdir(0o700)
    else:
        path.write_bytes(made.content)
    store(path, **made.attributes)
    status = shown(held, b"new")
    assert (status.st_uid, status.st_gid) == OWNER
    assert status.st_mode == made.attributes["mode"]
    assert status.st_rdev == made.attributes.get("rdev", 0)
    host = path.stat()
    for name in ("st_dev", "st_ino", "st_nlink", "st_size", "st_blksize", "st_blocks"):
        assert getattr(status, name) == getattr(host, name)
    for name in ("st_atime_ns", "st_mtime_ns", "st_ctime_ns"):
        assert getattr(status, name) == getattr(host, name)
    node = held.lookup(b"new")
    if made.code is None:
        held.file(held.tree.open(node, os.O_RDONLY))
    else:
        for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
            for opens in (held.tree.open, held.tree.open_for_locks):
                with refused(made.code):
                    opens(node, flags)
            with refused(made.code):
                held.create(b"new", flags)
        with refused(made.code):
            held.tree.setattr(node, None, Changes(size=0))
        assert path.read_bytes() == made.content
    if node.kind == stat.S_IFLNK:
        assert held.tree.readlink(node) == made.content
    else:
        with refused(errno.EINVAL):
            held.tree.readlink(node)


@pytest.mark.parametrize("name", ["uid", "gid", "mode"])
def test_an_attribute_that_is_missing_leaves_what_dom0_has(
    held: Holder, export: Path, name: str
) -> None:
    path = export / "file"
    path.touch(0o640)
    host = path.stat()
    numbers = {"uid": 77, "gid": 78, "mode": stat.S_IFREG | 0o711}
    store(path, **{name: numbers[name]})
    status = shown(held, b"file")
    expected = {"uid": host.st_uid, "gid": host.st_gid, "mode": host.st_mode, name: numbers[name]}
    found = {"uid": status.st_uid, "gid": status.st_gid, "mode": status.st_mode}
    assert found == expected


@pytest.mark.parametrize("value", [b"", b"\1", b"\1\0\0", b"\1\0\0\0\0", b"\1" * 8])
def test_an_attribute_of_another_length_is_none(held: Holder, export: Path, value: bytes) -> None:
    path = export / "file"
    path.touch(0o640)
    for name in ("uid", "gid", "mode"):
        os.setxattr(path, f"user.virtfs.{name}", value)
    status = shown(held, b"file")
    host = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode) == (host.st_uid, host.st_gid, 0o100640)


@pytest.mark.parametrize("mode", [0o040755, 0o755, 0o170755, 0xFFFF0755, 0o110755])
def test_a_regular_file_stands_for_no_directory_and_nothing_unknown(
    held: Holder, export: Path, mode: int
) -> None:
    (export / "file").touch()
    store(export / "file", mode=mode)
    assert shown(held, b"file").st_mode == stat.S_IFREG | stat.S_IMODE(mode)
    assert read(held.open(b"file"), 1) == b""


@pytest.mark.parametrize("mode", [0o100711, 0o120711, 0o020711, 0o711])
def test_a_directory_stays_one(held: Holder, export: Path, mode: int) -> None:
    (export / "dir").mkdir()
    store(export / "dir", mode=mode)
    assert shown(held, b"dir").st_mode == 0o040711
    assert list(held.open(b"dir").entries(0))


def test_the_root_has_attributes_too(held: Holder, export: Path) -> None:
    host = export.stat()
    held.tree.setattr(held.tree.root, None, Changes(mode=0o1755, owner=OWNER))
    assert stored(export) == {**IDS, "mode": 0o041755}
    status = held.tree.getattr(held.tree.root)[1]
    assert (status.st_uid, status.st_gid, status.st_mode) == (*OWNER, 0o041755)
    assert export.stat().st_mode == host.st_mode


def test_what_dom0_made_stays_what_it_is(held: Holder, export: Path) -> None:
    (export / "link").symlink_to("/etc/passwd")
    os.mkfifo(export / "fifo", 0o640)
    for name in (b"link", b"fifo"):
        status, host = shown(held, name), (export / name.decode()).lstat()
        assert (status.st_mode, status.st_uid) == (host.st_mode, host.st_uid)
        with refused(errno.EPERM):  # Linux keeps no attributes of these
            held.tree.setattr(held.lookup(name), None, Changes(owner=OWNER))
    assert held.tree.readlink(held.lookup(b"link")) == b"/etc/passwd"
    with refused(errno.ELOOP):
        held.open(b"link")


def test_a_special_file_is_held_as_long_as_anybody_holds_it(held: Holder) -> None:
    held.tree.symlink(held.tree.root, b"link", b"target", NOBODY)
    node = held.tree.lookup(held.tree.root, b"link")
    assert node.hold() is node
    node.release()
    assert held.tree.readlink(node) == b"target"
    node.release()


def test_changes_of_owner_and_mode_stay_in_attributes(held: Holder, export: Path) -> None:
    held.create(b"file", mode=0o644)
    before = (export / "file").stat()
    for changes, expected in [
        (Changes(mode=0o4711), {"mode": 0o104711}),
        (Changes(owner=Owner(5, NO_CHANGE)), {"mode": 0o100711, "uid": 5}),
        (Changes(owner=Owner(NO_CHANGE, 6)), {"mode": 0o100711, "uid": 5, "gid": 6}),
        (
            Changes(owner=Owner(0xFFFF_FFFE, 7), mode=0o6755, size=3, mtime=Timespec(5, 6)),
            {"mode": 0o106755, "uid": 0xFFFF_FFFE, "gid": 7},
        ),
    ]:
        held.tree.setattr(held.lookup(b"file"), None, changes)
        assert stored(export / "file") == expected
    after = (export / "file").stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert (after.st_size, after.st_mtime_ns) == (3, 5 * 10**9 + 6)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (0o106755, 0o100755),
        (0o104644, 0o100644),
        (0o102745, 0o102745),  # no x for the group: not set-id (chown(2))
        (0o042755, 0o042755),
        (0o044755, 0o044755),
    ],
)
def test_a_change_of_owner_takes_set_id_bits_as_chown_does(
    held: Holder, export: Path, before: int, after: int
) -> None:
    if stat.S_ISDIR(before):
        (export / "it").mkdir()
    else:
        (export / "it").touch()
    (export / "it").chmod(stat.S_IMODE(before))  # and no attribute: Dom0's bits count, too
    held.tree.setattr(held.lookup(b"it"), None, Changes(owner=OWNER))
    assert shown(held, b"it").st_mode == after


def test_special_files_change_owner_mode_and_times(held: Holder, export: Path) -> None:
    tree, root = held.tree, held.tree.root
    tree.symlink(root, b"link", b"target", NOBODY)
    tree.mknod(root, b"fifo", 0o010600, NO_DEVICE, NOBODY)
    for name in (b"link", b"fifo"):
        tree.setattr(held.lookup(name), None, Changes(owner=OWNER, mtime=Timespec(9, 0)))
        status = shown(held, name)
        assert (status.st_uid, status.st_gid, status.st_mtime_ns) == (*OWNER, 9 * 10**9)
    tree.setattr(held.lookup(b"fifo"), None, Changes(mode=0o622))
    assert stored(export / "fifo")["mode"] == 0o010622
    with refused(errno.EOPNOTSUPP):
        tree.setattr(held.lookup(b"link"), None, Changes(mode=0o600))


def test_names_change_and_the_kind_goes_along(held: Holder, export: Path) -> None:
    tree, root = held.tree, held.tree.root
    tree.symlink(root, b"link", b"nowhere", OWNER)
    tree.link(held.lookup(b"link"), root, b"second")
    tree.rename(root, b"link", root, b"moved")
    for name in (b"moved", b"second"):
        assert shown(held, name).st_nlink == 2
        assert tree.readlink(held.lookup(name)) == b"nowhere"
    tree.unlink(root, b"moved", directory=False)
    assert stored(export / "second") == {**IDS, "mode": 0o120777}
    with refused(errno.ENOTDIR):
        tree.unlink(root, b"second", directory=True)
    assert tree.statfs(held.lookup(b"second")).bsize


def test_a_file_that_is_there_is_opened_and_keeps_its_attributes(
    held: Holder, export: Path
) -> None:
    (export / "file").write_bytes(b"data")
    store(export / "file", uid=5, mode=0o100400)
    file = held.create(b"file", os.O_RDWR, 0o777, OWNER)[1]
    assert read(file, 9) == b"data"
    assert stored(export / "file") == {"uid": 5, "mode": 0o100400}
    with refused(errno.EEXIST):
        held.create(b"file", os.O_RDWR | os.O_EXCL)
    (export / "dir").mkdir()
    for name, code in [(b"dir", errno.EISDIR), (b"x" * 256, errno.ENAMETOOLONG)]:
        with refused(code):
            held.create(name)


@pytest.mark.parametrize(
    ("mode", "device", "code"),
    [
        (0o040755, NO_DEVICE, errno.EPERM),
        (0o120755, NO_DEVICE, errno.EPERM),
        (0o755, NO_DEVICE, errno.EPERM),
        (0o020666, Device(1 << 12, 0), errno.EINVAL),
        (0o060666, Device(0, 1 << 20), errno.EINVAL),
        (0o060666, Device(0xFFFF_FFFF, 0xFFFF_FFFF), errno.EINVAL),
    ],
)
def test_mknod_makes_no_other_kinds(
    held: Holder, export: Path, mode: int, device: Device, code: int
) -> None:
    with refused(code):
        held.tree.mknod(held.tree.root, b"new", mode, device, OWNER)
    assert list(export.iterdir()) == []


def test_a_target_is_read_to_the_longest_that_a_path_can_be(held: Holder, export: Path) -> None:
    held.tree.symlink(held.tree.root, b"long", b"t" * MAX_TARGET, NOBODY)
    assert held.tree.readlink(held.lookup(b"long")) == b"t" * MAX_TARGET
    (export / "long").write_bytes(b"t" * 70_000)
    assert held.tree.readlink(held.lookup(b"long")) == b"t" * MAX_TARGET


def test_a_directory_tells_only_the_kinds_it_knows(held: Holder, export: Path) -> None:
    (export / "dir").mkdir()
    (export / "real").symlink_to("x")
    os.mkfifo(export / "fifo")
    held.create(b"file")
    held.tree.symlink(held.tree.root, b"link", b"x", NOBODY)
    entries = held.file(held.tree.open(held.tree.root, os.O_RDONLY)).entries(0)
    types = {entry.name: entry.type for entry in entries}
    assert types.pop(b".") == types.pop(b"..") == DT_DIR
    assert types == {
        b"dir": DT_DIR,
        b"real": DT_LNK,
        b"fifo": DT_FIFO,
        b"file": DT_UNKNOWN,
        b"link": DT_UNKNOWN,
    }


def test_the_attributes_themselves_are_not_the_guests(held: Holder, export: Path) -> None:
    tree = held.tree
    node = held.create(b"file", owner=OWNER)[0]
    before = stored(export / "file")
    for name in (b"user.virtfs.uid", b"user.virtfs.mode", b"user.virtfs.", b"user.virtfs.new"):
        with refused(errno.ENODATA):
            tree.xattr_get(node, name)
        with refused(errno.EACCES):
            tree.xattr_set(node, name, b"\0\0\0\0", 0)
        with refused(errno.EACCES):
            tree.xattr_remove(node, name)
    assert tree.xattr_list(node) == []
    assert stored(export / "file") == before
    tree.xattr_set(node, b"user.virtfsx", b"mine", os.XATTR_CREATE)
    assert tree.xattr_get(node, b"user.virtfsx") == b"mine"
    assert tree.xattr_list(node) == [b"user.virtfsx"]
    tree.xattr_remove(node, b"user.virtfsx")
    with refused(errno.ENODATA):
        tree.xattr_get(node, b"user.virtfsx")
    for name in (b"security.capability", b"trusted.x"):
        with refused(errno.EOPNOTSUPP):
            tree.xattr_get(node, name)
    with refused(errno.ENODATA):
        tree.xattr_remove(node, b"user.virtfsx")


@pytest.mark.parametrize("name", ["system.posix_acl_access", "system.posix_acl_default"])
def test_an_acl_is_kept_under_qemus_name_and_is_none_to_dom0(
    held: Holder, export: Path, name: str
) -> None:
    tree, guest = held.tree, name.encode()
    (export / "dir").mkdir()
    node = held.lookup(b"dir")
    with refused(errno.ENODATA):
        tree.xattr_get(node, guest)
    tree.xattr_set(node, guest, b"an ACL", 0)
    assert os.listxattr(export / "dir") == [f"user.virtfs.{name}"]
    assert tree.xattr_list(node) == [guest]
    assert tree.xattr_get(node, guest) == b"an ACL"
    with refused(errno.ENODATA):
        tree.xattr_get(node, b"user.virtfs." + guest)
    tree.xattr_remove(node, guest)
    tree.xattr_remove(node, guest)  # none is there: no error, as on a file system that has ACLs
    assert tree.xattr_list(node) == []


@pytest.mark.usefixtures("user_attributes")
def test_no_privilege_is_needed_for_files_that_are_the_workers(export: Path) -> None:
    export.chmod(0o777)
    (export / "dom0s").touch(0o600)
    tree = MappedXattrTree(LocalTree(str(export)))
    held = Holder(tree)
    with unprivileged():
        for number, made in enumerate(MADE.values()):
            made.make(tree, tree.root)
            status = shown(held, b"new")
            assert (status.st_mode, status.st_uid) == (made.attributes["mode"], OWNER.uid)
            node = held.lookup(b"new")
            tree.setattr(node, None, Changes(owner=Owner(0, 0), mtime=Timespec(1, 0)))
            assert shown(held, b"new").st_uid == 0
            if node.kind != stat.S_IFLNK:
                tree.setattr(node, None, Changes(mode=0))
                assert stat.S_IMODE(shown(held, b"new").st_mode) == 0
            tree.rename(tree.root, b"new", tree.root, b"old%d" % number)
        if os.getuid() == 0:
            assert shown(held, b"dom0s").st_uid == 0
            with refused(errno.EACCES):
                tree.setattr(held.lookup(b"dom0s"), None, Changes(owner=OWNER))
    held.release()
    tree.close()
